"""`prepare`, `data` and `plan`: what a recipe reads and would do."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xstilts.commands.arguments import Subparsers, add_recipe_command, console, positive, recipe_of, run_dir_of
from xstilts.commands.text import fit
from xstilts.core.exit_codes import EXIT_OK


def add(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_recipe_command(
        commands, "prepare", _prepare, "download or read, check and tokenise all data ahead of a run"
    )
    sub.add_argument("--workers", type=positive, default=1, metavar="N", help="processes, over sources; default 1")
    sub = add_recipe_command(
        commands, "data", _data, "say what the data looks like: sizes, lengths, labels, duplicates, overlap"
    )
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub = add_recipe_command(
        commands, "plan", _plan, "say what would run, and what it can find: stages, steps, languages"
    )
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub.add_argument(
        "--world-size", type=positive, metavar="N", help="ranks of a stage: what they would leave idle, and the cost"
    )
    sub.add_argument("--lanes", type=positive, default=1, metavar="N", help="stages at a time, for the cost; default 1")
    sub.add_argument(
        "--device", default="H100", metavar="NAME", help="H100 (default), H200, A100 or core, for the cost"
    )


def _prepare(options: argparse.Namespace) -> int:
    from xstilts.study.fetch import fetch_study

    recipe = recipe_of(options)
    done = fetch_study(recipe, run_dir_of(options, recipe), options.workers, console())
    print(f"{recipe.name}: {len(done)} sources, {sum(part.num_examples for part in done):,} examples ready")
    return EXIT_OK


def _data(options: argparse.Namespace) -> int:
    from xstilts.study.describe_data import describe_data, show_data, to_json

    recipe = recipe_of(options)
    description = describe_data(recipe, run_dir_of(options, recipe))
    if options.json:
        print(to_json(description))
    else:
        show_data(description, console())
    return EXIT_OK


def _plan(options: argparse.Namespace) -> int:
    from xstilts.analysis.design import describe_design
    from xstilts.study.describe_plan import describe_plan, idle_forwards
    from xstilts.study.open import planned_study

    recipe = recipe_of(options)
    with _left_as_it_was(run_dir_of(options, recipe)) as run_dir:
        study = planned_study(recipe, run_dir)
        scored = {leaf.target: leaf.languages for leaf in study.graph.planned}
        design = describe_design(recipe.question, scored, len(recipe.seeds)) if recipe.question else []
        on = (options.device, options.world_size or 1, options.lanes)
        text = describe_plan(study, as_json=options.json, design=design, on=on)
        print(text if options.json else fit(text))
        for line in idle_forwards(study, options.world_size) if options.world_size else ():
            print(fit(f"note: {line}"), file=sys.stderr)
    return EXIT_OK


@contextmanager
def _left_as_it_was(run_dir: Path) -> Iterator[Path]:
    """A run directory that is there already; else one on the same disk that goes again, with all that was tokenised
    for a plan alone."""
    if run_dir.is_dir():
        yield run_dir
        return
    above = next(folder for folder in run_dir.absolute().parents if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=".plan-", dir=above) as folder:
        yield Path(folder)
