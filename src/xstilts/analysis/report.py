"""The report of a study: a table on the screen and a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from xstilts.analysis.transfer import Cell, compare
from xstilts.errors import UserError
from xstilts.evaluation.results import read_rows
from xstilts.tasks.languages import find_language

_COLUMNS = ("target", "language", "metric", "n", "chance", "majority", "arm", "score", "95 %", "change", "95 % of change", "at or below trivial")


def report(run_dirs: Sequence[Path], *, baseline: str, title: str = "") -> str:
    """Markdown with one row per (target, language, metric, arm), the change against the baseline arm beside it."""
    rows = []
    for run_dir in run_dirs:
        path = run_dir / "results.jsonl"
        if not path.is_file():
            raise UserError(f"{run_dir}: no results.jsonl; give the directory of a run that has scored something")
        rows += list(read_rows(path))
    cells = compare(rows, baseline)
    seeds = sorted({len(cell.scores) for cell in cells})
    lines = [f"# {title or 'Report'}", ""]
    lines += [f"Change is against arm `{baseline}`, paired by seed; {'/'.join(map(str, seeds))} seed(s) per cell.", ""]
    lines += ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(_fields(cell)) + " |" for cell in _ordered(cells)]
    lines += ["", "## Mean over languages", "", "| target | metric | arm | score | change |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(fields) + " |" for fields in _means(cells)]
    return "\n".join(lines) + "\n"


def show(run_dir: Path, *, baseline: str, console: Console) -> None:
    """The primary metrics on the screen: one line per target and language, one column per arm."""
    cells = [cell for cell in compare(read_rows(run_dir / "results.jsonl"), baseline) if cell.primary]
    arms = list(dict.fromkeys(cell.arm for cell in cells))
    table = Table(title="score (change against " + baseline + ")", title_justify="left")
    for column in ("target", "language", "metric", "chance", "majority", *arms):
        table.add_column(column, justify="left" if column in ("target", "language", "metric") else "right")
    by_line: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        by_line.setdefault((cell.task, cell.language), {})[cell.arm] = cell
    for (task, language), line in by_line.items():
        first = next(iter(line.values()))
        scores = [_with_change(line[arm]) if arm in line else "-" for arm in arms]
        table.add_row(task, _language(language), first.metric, f"{first.chance:.1f}", _optional(first.majority), *scores)
    console.print(table)


def _fields(cell: Cell) -> list[str]:
    change = "" if cell.change is None else f"{cell.change:+.2f}"
    interval = "" if cell.change_low is None or cell.change_high is None else f"{cell.change_low:+.2f} to {cell.change_high:+.2f}"
    return [
        *(cell.task, _language(cell.language), cell.metric, str(cell.num_examples), f"{cell.chance:.2f}", _optional(cell.majority, 2)),
        *(cell.arm, f"{cell.score:.2f}", f"{cell.low:.2f} to {cell.high:.2f}", change, interval),
        f"{cell.num_collapsed} of {len(cell.scores)}",
    ]


def _means(cells: Sequence[Cell]) -> list[list[str]]:
    """Unweighted means over languages, as XTREME averages."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.task, cell.metric, cell.arm), []).append(cell)
    means = []
    for (task, metric, arm), members in groups.items():
        changes = [cell.change for cell in members if cell.change is not None]
        change = f"{sum(changes) / len(changes):+.2f}" if changes else ""
        means.append([task, metric, arm, f"{sum(cell.score for cell in members) / len(members):.2f}", change])
    return means


def _ordered(cells: Sequence[Cell]) -> list[Cell]:
    """Arms of one line stand below each other."""
    places = {key: i for i, key in enumerate(dict.fromkeys((c.task, c.language, c.metric) for c in cells))}
    return sorted(cells, key=lambda cell: places[cell.task, cell.language, cell.metric])


def _with_change(cell: Cell) -> str:
    return f"{cell.score:.1f}" if cell.change is None else f"{cell.score:.1f} ({cell.change:+.1f})"


def _optional(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _language(key: str) -> str:
    return f"{find_language(key).name} ({key})"
