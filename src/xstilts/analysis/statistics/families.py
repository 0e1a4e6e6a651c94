"""Languages come in families: families as the unit, and what the mean is without each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xstilts.analysis.statistics.estimate import Array
from xstilts.analysis.statistics.table import Table


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


def without_each_family(table: Table, families: Mapping[str, str]) -> dict[str, Table]:
    """Family -> the table of all other languages, if there are any; `families` by language.

    What a mean is without each family shows whether one family carries it.
    """
    found = {}
    for family, places in members([families[language] for language in table.languages]).items():
        others = np.ones(len(table.languages), dtype=np.bool_)
        others[places] = False
        if others.any():
            every_seed = np.ones(len(table.seeds), dtype=np.bool_)
            found[family] = table.block(every_seed, others, f"Without {family}, languages: {len(places)}.")
    return found
