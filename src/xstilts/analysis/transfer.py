"""What intermediate training changed: every arm against the baseline arm, per target and language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy import stats

from xstilts.evaluation.results import Row


@dataclass(frozen=True)
class Cell:
    """One (arm, task, language, metric) over seeds."""

    arm: str
    task: str
    language: str
    metric: str
    primary: bool
    scores: tuple[float, ...]
    """One per seed, percent."""
    chance: float
    majority: float | None
    low: float
    """95 % interval over the test examples, mean over seeds."""
    high: float
    num_examples: int
    change: float | None
    """Mean difference to the baseline arm with the same seed; None for the baseline itself."""
    change_low: float | None
    """95 % t interval of the paired differences; None with fewer than two seeds."""
    change_high: float | None
    num_collapsed: int
    """Runs no better than the better of chance and the constant prediction: counted, never hidden in the mean."""

    @property
    def score(self) -> float:
        return fmean(self.scores)


def compare(rows: Iterable[Row], baseline: str) -> list[Cell]:
    """Cells in order of first appearance; a baseline score that is missing leaves the change open."""
    by_cell: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for row in rows:
        by_cell.setdefault((row.task, row.language, row.metric, row.arm), {})[_study_seed(row)] = row
    cells = []
    for (task, language, metric, arm), mine in by_cell.items():
        base = by_cell.get((task, language, metric, baseline), {})
        differences = [mine[seed].value - base[seed].value for seed in mine if seed in base] if arm != baseline else []
        low, high = _t_interval(differences)
        any_row = next(iter(mine.values()))
        cells.append(
            Cell(
                arm,
                task,
                language,
                metric,
                any_row.primary,
                tuple(row.value for row in mine.values()),
                any_row.chance,
                any_row.majority,
                fmean(row.low for row in mine.values()),
                fmean(row.high for row in mine.values()),
                any_row.num_examples,
                fmean(differences) if differences else None,
                low,
                high,
                sum(row.value <= max(row.chance, row.majority or 0.0) for row in mine.values()),
            )
        )
    return cells


def _study_seed(row: Row) -> str:
    """Arms of one seed are pairs, whatever the number of their stages."""
    return row.seeds.split("-")[-1]


def _t_interval(differences: Sequence[float]) -> tuple[float | None, float | None]:
    if len(differences) < 2:
        return None, None
    spread = float(np.std(differences, ddof=1)) / len(differences) ** 0.5
    margin = float(stats.t.ppf(0.975, len(differences) - 1)) * spread
    return fmean(differences) - margin, fmean(differences) + margin
