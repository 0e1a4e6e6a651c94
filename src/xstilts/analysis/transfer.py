"""What intermediate training changed: every arm against the baseline arm, per target and language, paired by seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy import stats

from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row

Interval = tuple[float, float]


@dataclass(frozen=True)
class Change:
    """An arm against the baseline arm."""

    by_seed: Mapping[int, float]
    """Difference to the baseline with the same seed and precision; empty for the baseline itself or where it has no
    such score."""

    @property
    def mean(self) -> float | None:
        return fmean(self.by_seed.values()) if self.by_seed else None

    @property
    def interval(self) -> Interval | None:
        """95 % t interval of the paired differences; None with fewer than two seeds."""
        return _t_interval(list(self.by_seed.values()))


@dataclass(frozen=True)
class Cell:
    """One (arm, task, language, split, metric) over seeds."""

    arm: str
    task: str
    language: str
    split: str
    metric: str
    primary: bool
    scores: Mapping[int, float]
    """Seed -> percent."""
    interval: Interval
    """95 % interval over the test examples, mean over seeds."""
    chance: float
    majority: float | None
    num_examples: int
    change: Change
    num_collapsed: int
    """Runs no better than the better of chance and the constant prediction: counted, never hidden in the mean."""

    @property
    def score(self) -> float:
        return fmean(self.scores.values())


@dataclass(frozen=True)
class Mean:
    """One (arm, task, split, metric) over languages, unweighted as XTREME averages."""

    arm: str
    task: str
    split: str
    metric: str
    primary: bool
    num_languages: int
    score: float
    change: Change
    """Per seed the mean over the languages that have a change; a seed counts if it has one in all of them."""


def compare(rows: Iterable[Row], baseline: str) -> list[Cell]:
    """Cells by target, language, split and metric, arms below each other, all in order of first appearance.

    Raises:
        UserError: two rows are of the same arm, seed and everything else.
    """
    by_line: dict[tuple[str, str, str, str], dict[str, dict[int, Row]]] = {}
    for row in rows:
        arms = by_line.setdefault((row.task, row.language, row.split, row.metric), {})
        seeds = arms.setdefault(row.arm, {})
        if row.seed in seeds:
            raise UserError(
                f"arm '{row.arm}', seed {row.seed} is scored twice on {row.task}, {row.language}, {row.split}, "
                f"{row.metric}; report runs together only if their arms or seeds differ"
            )
        seeds[row.seed] = row
    return [
        _cell(mine, {} if arm == baseline else arms.get(baseline, {}))
        for arms in by_line.values()
        for arm, mine in arms.items()
    ]


def means(cells: Iterable[Cell]) -> list[Mean]:
    """Averages over languages, in the order of the cells."""
    groups: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.arm, cell.task, cell.split, cell.metric), []).append(cell)
    found = []
    for key, members in groups.items():
        changes = [cell.change.by_seed for cell in members if cell.change.by_seed]
        seeds = sorted(set.intersection(*(set(change) for change in changes))) if changes else []
        change = Change({seed: fmean(change[seed] for change in changes) for seed in seeds})
        found.append(Mean(*key, members[0].primary, len(members), fmean(cell.score for cell in members), change))
    return found


def _cell(mine: Mapping[int, Row], base: Mapping[int, Row]) -> Cell:
    rows = [mine[seed] for seed in sorted(mine)]
    first = rows[0]
    return Cell(
        arm=first.arm,
        task=first.task,
        language=first.language,
        split=first.split,
        metric=first.metric,
        primary=first.primary,
        scores={row.seed: row.value for row in rows},
        interval=(fmean(row.low for row in rows), fmean(row.high for row in rows)),
        chance=first.chance,
        majority=first.majority,
        num_examples=first.num_examples,
        change=Change({row.seed: row.value - base[row.seed].value for row in rows if _comparable(row, base)}),
        num_collapsed=sum(row.value <= max(row.chance, row.majority or 0.0) for row in rows),
    )


def _comparable(row: Row, base: Mapping[int, Row]) -> bool:
    """Whether the baseline has a score of the same seed, computed in the same precision."""
    return row.seed in base and base[row.seed].precision == row.precision


def _t_interval(values: Sequence[float]) -> Interval | None:
    if len(values) < 2:
        return None
    spread = float(np.std(values, ddof=1)) / len(values) ** 0.5
    margin = float(stats.t.ppf(0.975, len(values) - 1)) * spread
    return fmean(values) - margin, fmean(values) + margin
