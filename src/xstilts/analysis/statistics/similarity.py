"""Does similarity of an intermediate task and a target language predict the change? Languages are permuted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, permutations, product
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from xstilts.analysis.statistics.estimate import Array, PermutationEstimate
from xstilts.analysis.statistics.families import members

_MAX_EXACT = 10_000


def within(table: Array) -> Array:
    """[..., tasks, languages] less task means and language means: what neither explains."""
    return (
        table
        - table.mean(axis=-1, keepdims=True)
        - table.mean(axis=-2, keepdims=True)
        + table.mean(axis=(-2, -1), keepdims=True)
    )


def similarity_slope(
    changes: Array, similarity: Array, families: Sequence[str], *, num_random: int = 9999
) -> PermutationEstimate:
    """Change per unit of similarity with task and language effects.

    `changes` [..., tasks, languages] are means over seeds. The languages' columns of `similarity` [tasks, languages]
    are permuted within families, whole: neither a family that is both similar and easy, nor what a language does alike
    after all tasks, can make a slope. `similarity` must vary within tasks and languages.
    """
    y, x = within(changes), within(similarity)
    order = _orders(families, num_random)
    permuted = x[:, order].transpose(1, 0, 2).reshape(len(order), x.size)
    flat = y.reshape(*y.shape[:-2], -1)
    square = (x**2).sum()
    observed = flat @ x.ravel()
    # The permuted slope's numerator under a supposed slope b is p.y - b p.x, the observed one's x.y - b x.x.
    lost = square - permuted @ x.ravel()
    lost = np.where(lost > 1e-9 * square, lost, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        thresholds = (observed[..., None] - flat @ permuted.T) / lost
    thresholds[..., lost == 0] = np.nan
    return PermutationEstimate.of(observed / square, thresholds)


def num_permutations(families: Sequence[str]) -> int:
    """How many orders of languages there are within families, the given one among them."""
    return prod(factorial(len(places)) for places in members(families).values())


def _orders(families: Sequence[str], num_random: int) -> NDArray[np.intp]:
    """Orders of the languages [orders, languages] within families, the given one left out."""
    given = list(range(len(families)))
    groups = list(members(families).values())
    if num_permutations(families) <= _MAX_EXACT:
        found = []
        for choice in product(*(permutations(places) for places in groups)):
            order = list(given)
            for place, source in zip(chain(*groups), chain(*choice), strict=True):
                order[place] = source
            if order != given:
                found.append(order)
        return np.array(found, dtype=np.intp).reshape(-1, len(given))
    generator = np.random.default_rng(0)
    orders = np.tile(np.arange(len(given)), (num_random, 1))
    for places in groups:
        orders[:, places] = generator.permuted(orders[:, places], axis=1)
    return orders[(orders != np.arange(len(given))).any(axis=1)]
