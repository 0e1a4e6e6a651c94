"""`run` and `evaluate`: what the ranks do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xstilts.commands.arguments import Subparsers, add_recipe_command, console, recipe_of, run_dir_of
from xstilts.commands.finished import say_if_finished, say_if_nothing_is_left
from xstilts.commands.ranks import is_one_of_many_ranks, run_on_ranks
from xstilts.core.exit_codes import EXIT_OK
from xstilts.core.imports import collector_off

if TYPE_CHECKING:
    from xstilts.config.recipe import Recipe


def add(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_recipe_command(
        commands, "run", _run, "train and score whatever of the study is not there yet, then report"
    )
    sub.set_defaults(runs_on_ranks=True)
    sub = add_recipe_command(
        commands, "evaluate", _evaluate, "score a trained stage on the recipe's targets that it can predict"
    )
    sub.set_defaults(runs_on_ranks=True)
    sub.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="a stage: RUN_DIR/stages/ID")


def _run(options: argparse.Namespace) -> int:
    recipe = recipe_of(options)
    run_dir = run_dir_of(options, recipe)
    if not is_one_of_many_ranks() and say_if_finished(recipe, run_dir):
        return EXIT_OK
    return run_on_ranks(lambda: _run_study(recipe, run_dir, options.overrides))


def _run_study(recipe: Recipe, run_dir: Path, overrides: Sequence[str]) -> int:
    from xstilts.distributed import dist, heartbeat
    from xstilts.study.open import open_with_others

    study = open_with_others(recipe, run_dir, device=dist.device().type)
    if dist.on_first_rank(lambda: say_if_nothing_is_left(study)):
        return EXIT_OK
    with collector_off():
        from xstilts.analysis.board import write_arm, write_study
        from xstilts.analysis.places import overview
        from xstilts.analysis.report import build, show, write
        from xstilts.study.run import run_study

    def report() -> None:
        content = build([run_dir])
        html, markdown = write(content, run_dir)
        write_study(run_dir, content)
        show(content, console())
        print(f"report: {html}, {markdown}\ntensorboard --logdir {overview(run_dir)}")

    heartbeat.dump_stacks_into(study.workspace.root / "stacks")
    if dist.rank() == 0:
        if warning := study.deepspeed.unasked_cpu(dist.device().type):
            print(f"WARNING: {warning}", flush=True)
        stages, results = len(study.missing()), len(study.graph.planned)
        size = f"{stages} stages to train, {results} results, {dist.world_size()} ranks"
        print(f"{study.recipe.name}: {size}", flush=True)
        if not recipe.runtime.keep_leaf_weights and any(stage.is_leaf for stage in study.missing()):
            kept = "runtime.keep_leaf_weights=true keeps them, to export or evaluate"
            print(f"weights of target stages are dropped once they are scored; {kept}", flush=True)
    run_study(study, overrides, partial(write_arm, run_dir), report)
    return EXIT_OK


def _evaluate(options: argparse.Namespace) -> int:
    recipe = recipe_of(options)
    folder, overrides = options.checkpoint, options.overrides
    return run_on_ranks(lambda: _evaluate_stage(recipe, run_dir_of(options, recipe), folder, overrides))


def _evaluate_stage(recipe: Recipe, run_dir: Path, checkpoint: Path, overrides: Sequence[str]) -> int:
    with collector_off():
        from xstilts.analysis.report import build, show
        from xstilts.distributed import dist
        from xstilts.study.external import ARM, evaluate_stage
        from xstilts.study.open import open_with_others

    study = open_with_others(recipe, run_dir, device=dist.device().type)
    folder = evaluate_stage(study, checkpoint, overrides)

    def finish() -> None:
        show(build([folder], baseline=ARM), console())
        print(f"results: {folder / 'results.jsonl'}")

    dist.on_first_rank(finish)
    return EXIT_OK
