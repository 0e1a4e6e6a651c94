"""`train.py score`: a folder in XTREME's submission layout against a folder of labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xstilts.core.display import make_console
from xstilts.core.grid import grids
from xstilts.evaluation.items import metric_names
from xstilts.evaluation.metrics import find_metric
from xstilts.tasks.suites import find_suite
from xstilts.xtreme.submission import code_of
from xstilts.xtreme.suite import Average, SuiteScore, TaskScore, score_folder, score_records


def run_score(suite: str, predictions: Path, labels: Path, as_json: bool) -> int:
    """Prints every number of the suite as tables or as one JSON object; returns the exit status.

    Raises:
        UserError: see `score_folder`; or the suite is unknown.
    """
    return _say(score_folder(find_suite(suite), predictions, labels), as_json)


def run_score_records(suite: str, items: Path, as_json: bool) -> int:
    """`run_score` from what metrics summed over items when a run scored them.

    Raises:
        UserError: see `score_records`; or the suite is unknown.
    """
    return _say(score_records(find_suite(suite), items), as_json)


def _say(score: SuiteScore, as_json: bool) -> int:
    if as_json:
        print(json.dumps(as_dict(score), ensure_ascii=False, indent=2))
    else:
        _print(score, make_console())
    return 0


def as_dict(score: SuiteScore) -> dict[str, Any]:
    """The scores in plain types, unrounded, languages by the codes of their files."""
    return {
        "suite": score.suite.name,
        "overall": _average(score.overall),
        "groups": {group: _average(average) for group, average in score.groups.items()},
        "tasks": {name: _task(task) for name, task in score.tasks.items()},
        "missing_tasks": list(score.missing_tasks),
        "notes": list(score.notes),
    }


def _average(average: Average) -> dict[str, Any]:
    return {"score": average.value, "complete": average.complete}


def _task(score: TaskScore) -> dict[str, Any]:
    return {
        **_average(score.score),
        "averages": score.averages,
        "languages": {
            code_of(language): {
                name: {"score": s.value, "interval": [s.low, s.high], "items": s.num_items}
                for name, s in scores.items()
            }
            for language, scores in score.languages.items()
        },
        "missing_languages": [code_of(language) for language in score.missing],
    }


def _print(score: SuiteScore, console: Console) -> None:
    for task in score.tasks.values():
        for table in _language_tables(task, console.width):
            console.print(table)
        if task.missing:
            number = f"{len(task.languages)} of {len(task.languages) + len(task.missing)}"
            missing = " ".join(code_of(language) for language in task.missing)
            console.print(f"average over {number} languages; missing: {missing}", soft_wrap=True)
        console.print()
    table = Table(title=score.suite.title, title_justify="left")
    table.add_column("")
    table.add_column("score", justify="right")
    for name, task in score.tasks.items():
        table.add_row(name, _cell(task.score))
    table.add_section()
    for group, average in score.groups.items():
        table.add_row(group, _cell(average))
    table.add_section()
    table.add_row("overall", _cell(score.overall), style="bold")
    console.print(table)
    if not score.overall.complete:
        console.print("incomplete: there is no such average while a task or language of it is missing")
    if score.missing_tasks:
        console.print(f"missing tasks: {' '.join(score.missing_tasks)}")
    for note in score.notes:
        console.print(escape(f"note: {note}"), soft_wrap=True)


def _language_tables(score: TaskScore, width: int) -> Iterator[Table]:
    names = metric_names(score.task)
    columns = ("language", "items", *(find_metric(name).title for name in names))
    rows = []
    for language, scores in score.languages.items():
        cells = (f"{scores[name].value:.2f} {scores[name].low:.1f}-{scores[name].high:.1f}" for name in names)
        rows.append((code_of(language), str(scores[names[0]].num_items), *cells))
    rows.append(("average", "", *(f"{score.averages[name]:.2f}" for name in names)))
    return grids(f"{score.task.title} ({score.task.name})", columns, rows, width)


def _cell(average: Average) -> str:
    return f"{average.value:.2f}" if average.complete else "incomplete"
