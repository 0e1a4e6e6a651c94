"""Languages come in families: families as the unit, and what the mean is without each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from xstilts.analysis.statistics.estimate import Array, TEstimate


def members(families: Sequence[str]) -> dict[str, list[int]]:
    """Family -> the places of its languages, in order of first appearance."""
    found: dict[str, list[int]] = {}
    for i, family in enumerate(families):
        found.setdefault(family, []).append(i)
    return found


def family_means(changes: Array, families: Sequence[str]) -> Array:
    """Changes [..., seeds, languages] -> the mean of each family [..., seeds, families]: every family counts once.

    Languages of a family resemble each other, so that twenty languages of two families are two draws, not twenty.
    Families of unequal size have means of unequal variance; the variance between them is unbiased for the error of
    their unweighted mean all the same.
    """
    return np.stack([changes[..., places].mean(axis=-1) for places in members(families).values()], axis=-1)


def without_each_family(
    changes: Array, families: Sequence[str], mean: Callable[[Array], TEstimate]
) -> dict[str, TEstimate]:
    """Family -> the mean over the languages of all other families; empty where there is one family alone."""
    found = {}
    for family, places in members(families).items():
        others = np.delete(changes, places, axis=-1)
        if others.shape[-1]:
            found[family] = mean(others)
    return found
