"""`report`, `similarity`, `difficulty` and `score`: what runs have left, read anew."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from xstilts.commands.arguments import Subparsers, add_command, console, positive
from xstilts.commands.ranks import is_one_of_many_ranks
from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_OK


def add(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = add_command(commands, "report", _report, "the report of finished or unfinished runs: HTML, Markdown, data")
    sub.add_argument("run_dirs", nargs="+", type=Path, metavar="RUN_DIR", help="where runs went: runs/NAME")
    sub.add_argument("--baseline", metavar="ARM", help="arm that changes are reported against; default the recipe's")
    sub.add_argument(
        "--against", type=Path, metavar="OTHER_RUN_DIR", help="a run with the same question: how far the answers differ"
    )
    sub.add_argument(
        "--selection", metavar="RULE", help="weights that are reported: last, average, oracle; default the primary ones"
    )
    sub.add_argument("--to", type=Path, metavar="DIR", help="where it is written; default the first RUN_DIR")
    sub = add_command(
        commands, "similarity", _similarity, "measure how near a run's intermediate tasks are to its targets"
    )
    sub.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="where the run went: runs/NAME")
    sub.add_argument(
        "--examples", type=positive, default=200, metavar="N", help="of each task and language; default 200"
    )
    sub = add_command(commands, "difficulty", _difficulty, "measure how hard a run's intermediate tasks are")
    sub.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="where the run went: runs/NAME")
    sub.add_argument("--examples", type=positive, default=500, metavar="N", help="dev items of each task; default 500")
    sub.add_argument("--csv", action="store_true", help="a row for each stage, seed and task")
    sub = add_command(commands, "score", _score, "score a folder in XTREME's submission layout")
    sub.add_argument("--suite", required=True, help="xtreme, xtreme-r or africa")
    sub.add_argument("--predictions", type=Path, metavar="DIR", help="RUN_DIR/predictions/ARM/seedS")
    sub.add_argument("--labels", type=Path, metavar="DIR", help="RUN_DIR/labels")
    sub.add_argument(
        "--items", type=Path, metavar="DIR", help="instead of both RUN_DIR/items/ARM/seedS: nothing is scored again"
    )
    sub.add_argument("--json", action="store_true", help="machine-readable")


def _report(options: argparse.Namespace) -> int:
    from xstilts.analysis.report import build, show, write

    chosen = {"baseline": options.baseline, "other": options.against, "selection": options.selection}
    content = build(options.run_dirs, **chosen)
    show(content, console())
    print("report:", *write(content, options.to or options.run_dirs[0]))
    return EXIT_OK


def _similarity(options: argparse.Namespace) -> int:
    _by_one_rank("similarity")
    from rich.console import Console

    from xstilts.study.similarity.of_run import similarity_of_run
    from xstilts.study.similarity.show import show

    rows, paths = similarity_of_run(options.run_dir, options.examples, print)
    show(rows, Console(width=80))
    print("similarity:", *paths)
    return EXIT_OK


def _difficulty(options: argparse.Namespace) -> int:
    _by_one_rank("difficulty")
    from rich.console import Console

    from xstilts.study.difficulty.of_run import difficulty_of_run
    from xstilts.study.difficulty.table import as_csv, show

    rows = difficulty_of_run(options.run_dir, options.examples, partial(print, file=sys.stderr))
    if options.csv:
        print(as_csv(rows), end="")
    else:
        show(rows, Console(width=80))
    return EXIT_OK


def _by_one_rank(command: str) -> None:
    if is_one_of_many_ranks():
        raise UserError(f"{command} is measured by one rank; start it with python train.py {command} RUN_DIR")


def _score(options: argparse.Namespace) -> int:
    from xstilts.xtreme.score import run_score, run_score_records

    if options.items is not None:
        if options.predictions is not None or options.labels is not None:
            raise UserError("score: --items holds scores already; drop --predictions and --labels")
        return run_score_records(options.suite, options.items, options.json)
    if options.predictions is None or options.labels is None:
        raise UserError("score: nothing to score; give --predictions and --labels, or --items")
    return run_score(options.suite, options.predictions, options.labels, options.json)
