"""An effect with its interval, p-value and detectable effect: by Student's t or by permutation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

_ROUNDING = 1e-10


class Scale(Enum):
    """How an effect is measured; the value is that of no effect."""

    DIFFERENCE = 0.0
    RATIO = 1.0


class Estimate(Protocol):
    """What a verdict needs to know of an effect; every array has the shape of the leading axes."""

    @property
    def effect(self) -> Array: ...

    @property
    def scale(self) -> Scale: ...

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Two-sided confidence interval; an end is infinite (for a ratio 0 or infinite) where there is none."""
        ...

    def p_value(self) -> Array:
        """Two-sided, of no effect; at most 1 - level exactly where the interval of that level excludes no effect."""
        ...


@dataclass(frozen=True)
class TEstimate:
    """An estimate whose error follows Student's t."""

    effect: Array
    standard_error: Array
    df: Array
    scale: Scale = Scale.DIFFERENCE

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        margin = special.stdtrit(self.df, (1 + level) / 2) * self.standard_error
        return self.effect - margin, self.effect + margin

    def p_value(self) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.effect) / self.standard_error
        # Without any spread and any effect there is nothing to call.
        p: Array = np.where(np.isnan(t), 1.0, 2 * special.stdtr(self.df, -t))
        return p


@dataclass(frozen=True)
class PermutationEstimate:
    """An estimate by inverting a permutation test.

    The tests here are linear in the effect that they suppose, so every permutation but the identity has one threshold:
    from this supposed effect on, the permuted statistic is no smaller than the observed one. One-sided p-values are
    ranks among the thresholds, intervals lie between two of them (for sign flips: Hartigan's typical values, 1969).
    """

    effect: Array
    thresholds: Array
    """[..., permutations without the identity], ascending; NaN, last, where permuted and observed are always equal."""
    scale: Scale = Scale.DIFFERENCE

    @classmethod
    def of(cls, effect: Array, thresholds: Array, scale: Scale = Scale.DIFFERENCE) -> PermutationEstimate:
        """From thresholds in any order. What differs from no effect by rounding alone, as sums in another order do, is
        no effect: scores are often multiples of one over the number of items, so that ties are common.
        """
        tied = np.abs(thresholds - scale.value) < _ROUNDING
        return cls(effect, np.sort(np.where(tied, scale.value, thresholds), axis=-1), scale)

    @property
    def num_permutations(self) -> int:
        """The identity among them."""
        return self.thresholds.shape[-1] + 1

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        lowest = -np.inf if self.scale is Scale.DIFFERENCE else 0.0
        rank = int(np.floor((1 - level) / 2 * self.num_permutations + 1e-9))
        if rank == 0:
            return np.full_like(self.effect, lowest), np.full_like(self.effect, np.inf)
        # A permutation that is always equal counts at both ends.
        num_equal = np.isnan(self.thresholds).sum(axis=-1, keepdims=True)
        low = np.take_along_axis(self.thresholds, np.maximum(rank - 1 - num_equal, 0), axis=-1)
        high = self.thresholds[..., -rank]
        return np.where(rank > num_equal, low, lowest)[..., 0], np.where(np.isnan(high), np.inf, high)

    def p_value(self) -> Array:
        equal = np.isnan(self.thresholds)
        larger = 1 + ((self.thresholds <= self.scale.value) | equal).sum(axis=-1)
        smaller = 1 + ((self.thresholds >= self.scale.value) | equal).sum(axis=-1)
        p: Array = np.minimum(1.0, 2 * np.minimum(larger, smaller) / self.num_permutations)
        return p


def detectable(estimate: Estimate, level: float = 0.95, power: float = 0.8) -> Array:
    """The effect that, added to such a table of none, the interval of that level calls with that power.

    From the interval's lower end to the one-sided upper bound that holds with that power: by t, (t of the level + t of
    the power) x standard error. For a ratio it is a factor.
    """
    low, _ = estimate.interval(level)
    _, high = estimate.interval(2 * power - 1)
    if estimate.scale is Scale.DIFFERENCE:
        return high - low
    with np.errstate(divide="ignore"):
        factor: Array = high / low
    return factor
