"""Does an arm vary more over seeds? The ratio of two arms' spreads, by permuting seeds between them."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from math import comb

import numpy as np

from xstilts.analysis.statistics.estimate import Array, PermutationEstimate, Scale

_MAX_EXACT = 20_000


def deviations(scores: Array) -> Array:
    """Scores [..., seeds, languages] -> per seed the mean absolute deviation from the languages' medians [..., seeds].

    The seed is the unit: cells of one seed deviate together, and a test that counts them one by one calls almost half
    of all nulls. Medians as in Brown and Forsythe (1974).
    """
    return np.abs(scores - np.median(scores, axis=-2, keepdims=True)).mean(axis=-1)


def spread_ratio(arm: Array, baseline: Array, *, num_random: int = 9999) -> PermutationEstimate:
    """Spread of `arm` over that of `baseline`, scores [..., seeds, languages] each; the seeds may be other ones.

    Seeds that the arms share make it conservative. So does centring at medians, which takes a little of the spread, and
    the more the fewer the seeds are.
    """
    return permuted_ratio(deviations(arm), deviations(baseline), num_random=num_random)


def permuted_ratio(arm: Array, baseline: Array, *, num_random: int = 9999) -> PermutationEstimate:
    """Mean deviation of `arm` over that of `baseline` [..., seeds], by exchanging seeds between them.

    Under a supposed ratio the arm's deviations divided by it and the baseline's are exchangeable. An exchange raises
    their difference exactly if the ratio is at least (what leaves the arm) / (what enters it).
    """
    leaving, entering = _exchanges(arm.shape[-1], baseline.shape[-1], num_random)
    with np.errstate(divide="ignore", invalid="ignore"):
        thresholds = (arm @ leaving) / (baseline @ entering)
        effect = arm.mean(axis=-1) / baseline.mean(axis=-1)
    return PermutationEstimate.of(effect, thresholds, Scale.RATIO)


@cache
def _exchanges(num_mine: int, num_base: int, num_random: int) -> tuple[Array, Array]:
    """Indicators of the seeds that leave the arm [mine, n] and enter it [base, n], the identity left out."""
    total = num_mine + num_base
    if comb(total, num_mine) <= _MAX_EXACT:
        chosen = np.array(list(combinations(range(total), num_mine)))
    else:
        chosen = np.random.default_rng(0).random((num_random, total)).argsort(axis=1)[:, :num_mine]
    inside = np.zeros((len(chosen), total))
    np.put_along_axis(inside, chosen, 1.0, axis=1)
    inside = inside[~inside[:, :num_mine].all(axis=1)]
    return 1.0 - inside[:, :num_mine].T, inside[:, num_mine:].T
