"""How large an effect a design can show, and how many more seeds or languages an effect takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from xstilts.analysis.statistics.estimate import Array
from xstilts.analysis.statistics.least import least
from xstilts.analysis.statistics.least_design import MIN_LANGUAGES, MIN_SEEDS
from xstilts.analysis.statistics.mean import MeanSquares

_PLASTIC = 1.324717957244746
"""The root of x^3 = x + 1."""
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
    """
    return _power_of(components, num_seeds, num_languages, level)(effect)


def _power_of(
    components: VarianceComponents, num_seeds: int, num_languages: int, level: float
) -> Callable[[float], float]:
    """The power of each effect. The mean and the mean squares of a balanced table are independent: normal and
    chi-squared. The mean squares are drawn (4,096 points, the same each time), the rest is closed."""
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
        return lambda effect: float(effect != 0)
    critical = special.stdtrit(df, (1 + level) / 2) * standard_error
    return lambda effect: float(
        (special.ndtr((effect - critical) / sd) + special.ndtr((-critical - effect) / sd)).mean()
    )


def detectable_effect(
    components: VarianceComponents, num_seeds: int, num_languages: int, *, level: float = 0.95, wanted: float = 0.8
) -> float:
    """The effect that a design yet to be run calls with the wanted power; `num_languages` as in `power`."""
    high = float(np.sqrt(components.seed + components.language + components.error))
    if high == 0:
        return 0.0
    power_of = _power_of(components, num_seeds, num_languages, level)
    while power_of(high) < wanted:
        high *= 2
    return least(lambda effect: power_of(effect) >= wanted, 0.0, high)


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
    """[3, 4096] in the unit cube, evenly spread: equal steps, and beside them an additive recurrence with the plastic
    number (Roberts 2018, "The Unreasonable Effectiveness of Quasirandom Sequences"). Effects come out within 0.03 % of
    those by 2^19 points of a Sobol sequence, whose module takes half a second to import."""
    number = np.arange(4096)
    points: Array = np.stack([(number + 0.5) / 4096, (0.5 + number / _PLASTIC) % 1, (0.5 + number / _PLASTIC**2) % 1])
    return points


def _chi2_over_df(points: Array, df: int) -> Array:
    drawn: Array = special.chdtri(df, 1 - points) / df
    return drawn
