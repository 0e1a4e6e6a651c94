"""The command line: one function per command, each thin over the package that does the work."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from xstilts.core.errors import StorageError, UserError
from xstilts.core.exit_codes import EXIT_DISK_FULL, EXIT_OK, exit_code_of
from xstilts.launch.commands import add_commands

if TYPE_CHECKING:
    from xstilts.config.recipe import Recipe

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns the exit code; a user's mistake is one line on the standard error."""
    try:
        options = _parse(arguments)
        command: Command = options.command
        return command(options)
    except (UserError, StorageError) as error:
        _tell(error)
        return exit_code_of(error)
    except OSError as error:
        if exit_code_of(error) != EXIT_DISK_FULL:
            raise
        place = f"{error.filename}: " if error.filename else ""
        _tell(UserError(f"{place}{error.strerror}; free space, then launch again: what was saved is intact"))
        return EXIT_DISK_FULL


class _Parser(argparse.ArgumentParser):
    """Reports a mistake as everything else does, in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    options, rest = _parser().parse_known_args(arguments)
    for word in rest:
        # argparse takes no second run of positionals behind an option: `run demo --run-dir X training.steps=3`.
        if word.startswith("-") or not hasattr(options, "overrides"):
            raise UserError(f"unknown argument '{word}'; see train.py COMMAND --help")
        options.overrides.append(word)
    return options


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="train.py", description="English intermediate tasks for XLM-R, scored zero-shot elsewhere."
    )
    parser.add_argument("--local_rank", type=int, help=argparse.SUPPRESS)  # the deepspeed launcher passes it
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def recipe_command(name: str, command: Command, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        sub.add_argument("recipe", help="name of a shipped recipe or path of a YAML file")
        sub.add_argument("overrides", nargs="*", metavar="key.path=value", help="values over those of the recipe")
        sub.add_argument("--run-dir", type=Path, help="where everything goes; default runs/<name of the recipe>")
        return sub

    recipe_command("run", _run, "train and score whatever of the study is not there yet, then report")
    sub = recipe_command("evaluate", _evaluate, "score a trained stage on the recipe's targets that it can predict")
    sub.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="a stage: RUN_DIR/stages/ID")
    sub = recipe_command("prepare", _prepare, "download or read, check and tokenise all data ahead of a run")
    sub.add_argument("--workers", type=_positive, default=1, metavar="N", help="processes, over sources; default 1")
    sub = recipe_command("data", _data, "say what the data looks like: sizes, lengths, labels, duplicates, overlap")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub = recipe_command("plan", _plan, "say what would run: stages, steps, examples per task, languages")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    sub = commands.add_parser("report", help="the report of finished or unfinished runs, as Markdown")
    sub.set_defaults(command=_report)
    sub.add_argument("run_dirs", nargs="+", type=Path, metavar="RUN_DIR")
    sub.add_argument("--baseline", metavar="ARM", help="arm that changes are reported against; default the recipe's")
    sub = commands.add_parser("score", help="score a folder in XTREME's submission layout")
    sub.set_defaults(command=_score)
    sub.add_argument("--suite", required=True, help="xtreme, xtreme-r or africa")
    sub.add_argument("--predictions", type=Path, required=True, metavar="DIR")
    sub.add_argument("--labels", type=Path, required=True, metavar="DIR")
    sub.add_argument("--json", action="store_true", help="machine-readable")
    add_commands(commands, _check_distributed)
    return parser


def _check_distributed(arguments: Sequence[str]) -> None:
    """Whether `arguments` are those of a command for many ranks, and its recipe is without mistakes."""
    options = _parse(arguments)
    if options.command not in (_run, _evaluate):
        raise UserError(f"'{arguments[0]}' runs on no ranks; give '-- run RECIPE' or '-- evaluate RECIPE ...'")
    _recipe(options)


def _run(options: argparse.Namespace) -> int:
    recipe = _recipe(options)
    return _distributed(lambda: _run_study(recipe, _run_dir(options, recipe), options.overrides))


def _run_study(recipe: Recipe, run_dir: Path, overrides: Sequence[str]) -> int:
    from rich.console import Console

    from xstilts.analysis.report import report, show
    from xstilts.distributed import dist, heartbeat
    from xstilts.study.open import opened_study
    from xstilts.study.run import run_study

    def finish() -> None:
        text = report([run_dir])
        (run_dir / "report.md").write_text(text, encoding="utf-8")
        show(run_dir, baseline=recipe.baseline, console=Console(width=None if sys.stdout.isatty() else 160))
        print(f"report: {run_dir / 'report.md'}\ntensorboard --logdir {run_dir / 'tensorboard'}")

    with opened_study(recipe, run_dir, device=dist.device().type) as study:
        heartbeat.dump_stacks_into(study.workspace.root / "stacks")
        if dist.rank() == 0:
            stages, results = len(study.missing()), len(study.graph.leaves)
            size = f"{stages} stages to train, {results} results, {dist.world_size()} ranks"
            print(f"{study.recipe.name}: {size}", flush=True)
        run_study(study, overrides)
        dist.on_first_rank(finish)
    return EXIT_OK


def _evaluate(options: argparse.Namespace) -> int:
    recipe = _recipe(options)

    def work() -> int:
        from rich.console import Console

        from xstilts.analysis.report import show
        from xstilts.distributed import dist
        from xstilts.study.external import ARM, evaluate_stage
        from xstilts.study.open import opened_study

        with opened_study(recipe, _run_dir(options, recipe), device=dist.device().type) as study:
            folder = evaluate_stage(study, options.checkpoint, options.overrides)

        def finish() -> None:
            show(folder, baseline=ARM, console=Console(width=None if sys.stdout.isatty() else 160))
            print(f"results: {folder / 'results.jsonl'}")

        dist.on_first_rank(finish)
        return EXIT_OK

    return _distributed(work)


def _prepare(options: argparse.Namespace) -> int:
    from rich.console import Console

    from xstilts.study.fetch import fetch_study

    recipe = _recipe(options)
    done = fetch_study(recipe, _run_dir(options, recipe), options.workers, Console())
    print(f"{recipe.name}: {len(done)} sources, {sum(part.num_examples for part in done):,} examples ready")
    return EXIT_OK


def _data(options: argparse.Namespace) -> int:
    from rich.console import Console

    from xstilts.study.describe_data import describe_data, show_data, to_json

    recipe = _recipe(options)
    description = describe_data(recipe, _run_dir(options, recipe))
    if options.json:
        print(to_json(description))
    else:
        show_data(description, Console(width=None if sys.stdout.isatty() else 160))
    return EXIT_OK


def _plan(options: argparse.Namespace) -> int:
    from xstilts.study.describe_plan import describe_plan
    from xstilts.study.open import open_study

    recipe = _recipe(options)
    print(describe_plan(open_study(recipe, _run_dir(options, recipe), device=None), as_json=options.json))
    return EXIT_OK


def _report(options: argparse.Namespace) -> int:
    from xstilts.analysis.report import report

    print(report(options.run_dirs, baseline=options.baseline), end="")
    return EXIT_OK


def _score(options: argparse.Namespace) -> int:
    from xstilts.xtreme.score import run_score

    return run_score(options.suite, options.predictions, options.labels, options.json)


def _recipe(options: argparse.Namespace) -> Recipe:
    from xstilts.config.load import load_recipe

    return load_recipe(options.recipe, options.overrides)


def _run_dir(options: argparse.Namespace, recipe: Recipe) -> Path:
    return options.run_dir or Path("runs") / recipe.name


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return int(text)


def _distributed(work: Callable[[], int], *, patience: float = 30.0) -> int:
    """Runs `work` inside the process group. What all ranks have come to together, a mistake or a checkpoint to stop at,
    ends them in order; anything else ends this process at once, for its peers may be inside a collective.

    Ranks that do not come to the same end within `patience` seconds have not come to it together.
    """
    from xstilts.distributed.heartbeat import Heartbeat

    with Heartbeat() as heart:
        from xstilts.distributed import dist
        from xstilts.training.monitors.preemption import Preempted, ending_at_once

        dist.set_up()
        try:
            with ending_at_once():
                code = work()
        except (UserError, StorageError, Preempted) as end:
            if not dist.all_end(patience):
                print(f"error: rank {dist.rank()} alone: {end}", file=sys.stderr, flush=True)
                heart.close(exit_code_of(end), str(end))
                os._exit(exit_code_of(end))
            if isinstance(end, Preempted):
                dist.tear_down()
                raise
            # Told before the ranks part: at the first one's exit the launcher kills the others.
            _tell(end)
            dist.tear_down()
            heart.close(exit_code_of(end), str(end))
            return exit_code_of(end)
        dist.tear_down()
        heart.close(code)
        return code


def _tell(error: UserError | StorageError) -> None:
    """One line per host, each rank of which has found the same mistake."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"error: {error}", file=sys.stderr, flush=True)
