"""The paired sign flip over seeds: the mean change in these languages, without a normal distribution."""

from __future__ import annotations

from functools import cache

import numpy as np

from xstilts.analysis.statistics.estimate import Array, PermutationEstimate

MAX_EXACT_SEEDS = 14
"""Up to here all 2^S flips are enumerated."""


def sign_flip_mean(changes: Array, *, num_random: int = 9999) -> PermutationEstimate:
    """Flips the signs of the seeds' mean changes [..., seeds, languages], seeds with all their languages as one.

    Valid if a seed's change is as likely to lie as far above as below the effect. A mean is no smaller after a flip
    exactly if the effect that is supposed is at least the mean of the flipped seeds; so the interval lies between two
    of the subset means (Hartigan 1969). Two-sided p goes down to 2^(1 - S): six seeds at least for 5 %.
    """
    by_seed = changes.mean(axis=-1)
    num_seeds = by_seed.shape[-1]
    thresholds = by_seed @ _subset_weights(num_seeds, num_random)
    return PermutationEstimate.of(by_seed.mean(axis=-1), thresholds)


@cache
def _subset_weights(num_seeds: int, num_random: int) -> Array:
    """Weights [seeds, subsets] that average over each subset: all subsets but the empty one, or random ones."""
    if num_seeds <= MAX_EXACT_SEEDS:
        subsets = (np.arange(1, 2**num_seeds) >> np.arange(num_seeds)[:, None]) & 1
    else:
        drawn = np.random.default_rng(0).integers(0, 2, size=(num_seeds, num_random))
        subsets = drawn[:, drawn.any(axis=0)]
    weights: Array = subsets / subsets.sum(axis=0)
    return weights
