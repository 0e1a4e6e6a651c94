"""Whether measures of difficulty put tasks or items in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

MIN_PAIRS = 3
"""Two things are always in the same or in the opposite order."""


@dataclass(frozen=True)
class RankAgreement:
    """Two measures over what both have measured."""

    first: str
    second: str
    num: int
    """Tasks or items that have both."""
    kendall: float | None
    """tau-b, which corrects for ties; None below three or where a measure is constant."""
    spearman: float | None


def rank_agreement(measures: Mapping[str, np.ndarray]) -> list[RankAgreement]:
    """Every pair of measures.

    Args:
        measures: name -> float [n] over the same tasks or items, larger for harder (`difficulty.HARDER` says which to
            negate); NaN where not measured.
    """
    return [_agreement(first, second, measures[first], measures[second]) for first, second in combinations(measures, 2)]


def _agreement(first: str, second: str, x: np.ndarray, y: np.ndarray) -> RankAgreement:
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < MIN_PAIRS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return RankAgreement(first, second, len(x), None, None)
    kendall, spearman = stats.kendalltau(x, y).statistic, stats.spearmanr(x, y).statistic
    return RankAgreement(first, second, len(x), float(kendall), float(spearman))
