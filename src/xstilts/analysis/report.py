"""The report of a study: a table on the screen and a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from xstilts.analysis.runs import baseline_of, missing, notes, read_results, summary, title_of
from xstilts.analysis.transfer import Cell, Change, Interval, Mean, compare, means
from xstilts.tasks.languages import find_language

_COLUMNS = (
    *("target", "language", "split", "metric", "n", "chance", "majority", "arm", "score", "95 %"),
    *("change", "95 % of change", "at or below trivial"),
)
_MEAN_COLUMNS = ("target", "split", "metric", "arm", "languages", "score", "change", "95 % of change")


def report(run_dirs: Sequence[Path], *, baseline: str | None = None) -> str:
    """Markdown with one row per (target, language, metric, arm), the change against the baseline arm beside it; what
    is missing of the runs, and what they say of themselves.

    `baseline` None is that of the runs' recipe.

    Raises:
        UserError: a run has no scores, the baseline is none of the arms, or two runs hold the same arm and seed.
    """
    results = [read_results(run_dir) for run_dir in run_dirs]
    rows = [row for each in results for row in each.rows]
    baseline = baseline_of(results, baseline)
    cells = compare(rows, baseline)
    counts = sorted({len(cell.scores) for cell in cells})
    lines = [
        f"# {title_of(results)}",
        "",
        *_paragraphs(notes(results, baseline)),
        f"Change is against arm `{baseline}`, paired by seed; seeds per cell: {', '.join(map(str, counts))}.",
        "Scores are percent.",
        "The first interval is over test examples (bootstrap), that of the change over seeds (t, from two seeds on).",
        "At or below trivial: runs no better than chance or the best constant prediction.",
        "",
        *_list("Missing", [line for each in results for line in missing(each)]),
        *_markdown(_COLUMNS, map(_fields, cells)),
        "",
        "## Mean over languages",
        "",
        *_markdown(_MEAN_COLUMNS, map(_mean_fields, means(cells))),
        "",
        *_list("Runs", map(summary, results))[:-1],
    ]
    return "\n".join(lines) + "\n"


def show(run_dir: Path, *, baseline: str, console: Console) -> None:
    """The primary metrics on the screen: one line per target and language, one column per arm."""
    cells = [cell for cell in compare(read_results(run_dir).rows, baseline) if cell.primary]
    arms = list(dict.fromkeys(cell.arm for cell in cells))
    title = f"score (change against {baseline})" if len(arms) > 1 else "score"
    table = Table(title=title, title_justify="left")
    for column in ("target", "language", "metric", "chance", "majority", *arms):
        table.add_column(column, justify="left" if column in ("target", "language", "metric") else "right")
    by_line: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        by_line.setdefault((cell.task, cell.language), {})[cell.arm] = cell
    for (task, language), line in by_line.items():
        first = next(iter(line.values()))
        scores = [_with_change(line[arm]) if arm in line else "-" for arm in arms]
        table.add_row(
            task, _language(language), first.metric, f"{first.chance:.1f}", _optional(first.majority, 1), *scores
        )
    console.print(table)


def _paragraphs(sentences: Iterable[str]) -> list[str]:
    return [line for sentence in sentences for line in (sentence, "")]


def _list(title: str, items: Iterable[str]) -> list[str]:
    """A section, with an empty line behind it; nothing without items."""
    lines = [f"- {item}" for item in items]
    return [f"## {title}", "", *lines, ""] if lines else []


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    table = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return table + ["| " + " | ".join(row) + " |" for row in rows]


def _fields(cell: Cell) -> list[str]:
    return [
        *(cell.task, _language(cell.language), cell.split, cell.metric, str(cell.num_examples)),
        *(
            f"{cell.chance:.2f}",
            _optional(cell.majority, 2),
            cell.arm,
            f"{cell.score:.2f}",
            _range(cell.interval, ".2f"),
        ),
        *(*_change(cell.change), f"{cell.num_collapsed} of {len(cell.scores)}"),
    ]


def _mean_fields(mean: Mean) -> list[str]:
    return [
        mean.task,
        mean.split,
        mean.metric,
        mean.arm,
        str(mean.num_languages),
        f"{mean.score:.2f}",
        *_change(mean.change),
    ]


def _change(change: Change) -> tuple[str, str]:
    """The mean change and its interval, each empty where there is none."""
    return ("" if change.mean is None else f"{change.mean:+.2f}"), _range(change.interval, "+.2f")


def _range(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"


def _with_change(cell: Cell) -> str:
    return f"{cell.score:.1f}" if cell.change.mean is None else f"{cell.score:.1f} ({cell.change.mean:+.1f})"


def _optional(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _language(key: str) -> str:
    return f"{find_language(key).name} ({key})"
