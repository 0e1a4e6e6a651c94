"""These weights: what chance in the test items leaves open when a run, or a few, cannot show what seeds do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xstilts.analysis.statistics.estimate import Array, Estimate, Scale


@dataclass(frozen=True)
class ItemEstimate:
    """The change between trained weights with its percentile bootstrap over test items."""

    effect: Array
    resampled: Array
    """[..., resamples]"""
    scale: Scale = Scale.DIFFERENCE

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        low, high = np.quantile(self.resampled, [(1 - level) / 2, (1 + level) / 2], axis=-1)
        return low, high

    def p_value(self) -> Array:
        above, below = (1 + (side >= 0).sum(axis=-1) for side in (self.resampled, -self.resampled))
        p: Array = np.minimum(1.0, 2 * np.minimum(above, below) / (1 + self.resampled.shape[-1]))
        return p


def item_bootstrap(
    arm: Array, baseline: Array, value: Callable[[Array], Array], *, num_resamples: int = 2000, seed: int = 0
) -> ItemEstimate:
    """The change, in the mean over seeds, of a score that is made of summed statistics of items.

    `arm` and `baseline` [seeds, items, k] are the statistics of the same items in the same order; an item is drawn with
    all its runs. `value` turns sums [..., k] into scores [...]. It says nothing about other seeds: weights are fixed.
    With fewer than 100 items the interval is somewhat too narrow.
    """
    assert arm.shape == baseline.shape
    num_seeds, num_items, k = arm.shape
    statistics = np.concatenate([arm, baseline]).transpose(1, 0, 2).reshape(num_items, -1)

    def change(sums: Array) -> Array:
        scores = value(sums.reshape(*sums.shape[:-1], 2, num_seeds, k)).mean(axis=-1)
        difference: Array = scores[..., 0] - scores[..., 1]
        return difference

    generator = np.random.default_rng(seed)
    # Some resamples at a time: 64 MiB of counts.
    chunk = max(1, (64 << 20) // (8 * num_items))
    resampled = []
    for start in range(0, num_resamples, chunk):
        size = min(chunk, num_resamples - start)
        counts = generator.multinomial(num_items, np.full(num_items, 1 / num_items), size=size)
        resampled.append(change(counts.astype(np.float64) @ statistics))
    return ItemEstimate(change(statistics.sum(axis=0)), np.concatenate(resampled))


@dataclass(frozen=True)
class WidestOf:
    """Two errors of one effect, the greater one counting: two seeds that agree by luck have the width of the items."""

    first: Estimate
    second: Estimate

    def __post_init__(self) -> None:
        assert self.first.scale is self.second.scale

    @property
    def effect(self) -> Array:
        return self.first.effect

    @property
    def scale(self) -> Scale:
        return self.first.scale

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        (low, high), (other_low, other_high) = self.first.interval(level), self.second.interval(level)
        return np.minimum(low, other_low), np.maximum(high, other_high)

    def p_value(self) -> Array:
        return np.maximum(self.first.p_value(), self.second.p_value())
