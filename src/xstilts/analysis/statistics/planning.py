"""How large an effect a design can show, and how many more seeds or languages an effect takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import optimize, stats

from xstilts.analysis.statistics.estimate import Array
from xstilts.analysis.statistics.least_design import MIN_LANGUAGES, MIN_SEEDS
from xstilts.analysis.statistics.mean import MeanSquares

MOST = 10_000
"""Of seeds or languages that are asked for: beyond it, none suffice."""


@dataclass(frozen=True)
class VarianceComponents:
    """Variances of the change: between seeds, between languages, and of what is left in a cell."""

    seed: float
    language: float
    error: float

    @classmethod
    def of(cls, changes: Array) -> VarianceComponents:
        """By the method of moments from [seeds >= 2, languages >= 2]; what comes out negative is zero."""
        squares = MeanSquares.of(changes)
        return cls(
            max(0.0, float(squares.seeds - squares.error) / squares.num_languages),
            max(0.0, float(squares.languages - squares.error) / squares.num_seeds),
            float(squares.error),
        )


def power(effect: float, components: VarianceComponents, num_seeds: int, num_languages: int, level: float) -> float:
    """The probability that `crossed_mean`, or `seed_mean` if one language is given, excludes zero under normal errors.

    The mean over these n languages counts as one language with seed variance `seed + error / n` and no other.
    The mean and the mean squares of a balanced table are independent: normal and chi-squared. The mean squares are
    drawn (4,096 points of a Sobol sequence, the same each time), the rest is closed.
    """
    seed, language, error = components.seed, components.language, components.error
    points = _points()
    squares = (error + num_languages * seed) * _chi2_over_df(points[0], num_seeds - 1)
    if num_languages == 1:
        standard_error, df = np.sqrt(squares / num_seeds), np.full_like(squares, num_seeds - 1)
    else:
        by_language = (error + num_seeds * language) * _chi2_over_df(points[1], num_languages - 1)
        left = error * _chi2_over_df(points[2], (num_seeds - 1) * (num_languages - 1))
        standard_error, df = MeanSquares(squares, by_language, left, num_seeds, num_languages).error_of_mean()
    sd = np.sqrt(seed / num_seeds + language / num_languages + error / (num_seeds * num_languages))
    if sd == 0:
        return float(effect != 0)
    critical = stats.t.ppf((1 + level) / 2, df) * standard_error
    called = stats.norm.sf((critical - effect) / sd) + stats.norm.cdf((-critical - effect) / sd)
    return float(called.mean())


def detectable_effect(
    components: VarianceComponents, num_seeds: int, num_languages: int, *, level: float = 0.95, wanted: float = 0.8
) -> float:
    """The effect that a design yet to be run calls with the wanted power; `num_languages` as in `power`."""
    total = np.sqrt(components.seed + components.language + components.error)
    if total == 0:
        return 0.0
    high = total
    while power(high, components, num_seeds, num_languages, level) < wanted:
        high *= 2
    found = optimize.brentq(
        lambda effect: power(effect, components, num_seeds, num_languages, level) - wanted, 0.0, high, rtol=1e-4
    )
    return float(found)


def seeds_needed(
    effect: float, components: VarianceComponents, num_languages: int, *, level: float = 0.95, wanted: float = 0.8
) -> int | None:
    """The least number of seeds that calls the effect; None where no number does and languages must be added."""
    return _least(MIN_SEEDS, lambda num_seeds: power(effect, components, num_seeds, num_languages, level) >= wanted)


def languages_needed(
    effect: float, components: VarianceComponents, num_seeds: int, *, level: float = 0.95, wanted: float = 0.8
) -> int | None:
    """The least number of languages that calls the effect; None where no number does with so many seeds."""
    return _least(MIN_LANGUAGES, lambda n: power(effect, components, num_seeds, n, level) >= wanted)


def _least(start: int, suffices: Callable[[int], bool]) -> int | None:
    """The least number from `start` to `MOST` that suffices, if more suffice whenever fewer do."""
    low, high = start - 1, start
    while not suffices(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


@cache
def _points() -> Array:
    points: Array = stats.qmc.Sobol(3, rng=0).random_base2(12).T
    return points


def _chi2_over_df(points: Array, df: int) -> Array:
    drawn: Array = stats.chi2.ppf(points, df) / df
    return drawn
