"""The table of a run's difficulties: one task of one stage a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from rich.console import Console
from rich.table import Table

from xstilts.measures.agreement import rank_agreement
from xstilts.measures.difficulty import HARDER, MIN_VISITS

MEASURES = tuple(HARDER)
_HEADINGS = {
    "normalised_error": "error",
    "code_length": "code",
    "confidence": "conf.",
    "variability": "var.",
    "v_information": "V-inf.",
}


@dataclass(frozen=True)
class Difficulty:
    """A task of a stage; a measure is None where it is not measured."""

    stage: str
    """Id of the stage."""
    label: str
    seed: int
    task: str
    num_items: int
    """Items that the code length is of, the first that were drawn: equally many of each task in a table."""
    num_dev: int
    """Dev items that error and V-information are of."""
    normalised_error: float | None
    code_length: float | None
    confidence: float | None
    """Mean over the items with at least three visits; likewise `variability`."""
    variability: float | None
    v_information: float | None
    """Bits per target."""
    missing: str
    """Why measures are None."""


def as_csv(rows: Sequence[Difficulty]) -> str:
    """All rows, a column for each field."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(Difficulty)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, rows))
    return stream.getvalue()


def show(rows: Sequence[Difficulty], console: Console) -> None:
    """Means over seeds, 80 columns wide; what the columns are, what is missing, and whether the measures agree."""
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "task"):
        table.add_column(name, overflow="fold")
    for name in ("items", *_HEADINGS.values()):
        table.add_column(name, justify="right", no_wrap=True)
    means = {key: _mean(own) for key, own in _by_task(rows).items()}
    for (label, task), own in _by_task(rows).items():
        cells = ["-" if (value := means[label, task][name]) is None else f"{value:.3f}" for name in MEASURES]
        table.add_row(label, task, str(own[0].num_items), *cells)
    console.print(table)
    seeds = sorted({row.seed for row in rows})
    console.print(
        f"Means over seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}. error: what the dev score lacks "
        "to 100, over what the best trivial score lacks. code: online code length of the items, the first that were "
        "drawn, over that of the null model; dropout on. conf., var.: mean and deviation of p(gold) over the visits "
        f"of an item, from {MIN_VISITS} visits on. V-inf.: bits per target that the input saves on dev. Harder is more "
        "error, code and var., less conf. and V-inf. -: not measured.",
        highlight=False,
    )
    for row in rows:
        if row.missing:
            console.print(f"{row.label} seed {row.seed}, {row.task}: {row.missing}", highlight=False, markup=False)
    console.print(_agreement(list(means.values())), highlight=False)


def _by_task(rows: Iterable[Difficulty]) -> dict[tuple[str, str], list[Difficulty]]:
    found: dict[tuple[str, str], list[Difficulty]] = {}
    for row in rows:
        found.setdefault((row.label, row.task), []).append(row)
    return found


def _mean(rows: Sequence[Difficulty]) -> dict[str, float | None]:
    """Each measure's mean over seeds; None where a seed has not measured it."""
    found: dict[str, float | None] = {}
    for name in MEASURES:
        values = [getattr(row, name) for row in rows]
        found[name] = None if None in values else float(np.mean(values))
    return found


def _agreement(means: Sequence[dict[str, float | None]]) -> str:
    """Kendall's tau-b of every pair of measures over the table's rows."""
    harder = {
        _HEADINGS[name]: np.array([np.nan if (value := row[name]) is None else HARDER[name] * value for row in means])
        for name in MEASURES
    }
    pairs = [pair for pair in rank_agreement(harder) if pair.kendall is not None]
    if not pairs:
        return "Whether the measures put the tasks in one order: cannot tell from fewer than three tasks."
    said = ", ".join(f"{pair.first} ~ {pair.second} {pair.kendall:+.2f} (of {pair.num})" for pair in pairs)
    return f"Rank agreement on which task is harder (Kendall's tau-b, of so many tasks): {said}."
