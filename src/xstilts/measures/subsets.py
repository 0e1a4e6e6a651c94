"""Training subsets by difficulty: the easiest, middle or hardest part of a task, or as many at random."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from xstilts.core.digests import digest_of_json
from xstilts.core.errors import UserError
from xstilts.core.seeds import derive_seed

Part = Literal["easiest", "middle", "hardest", "random"]


@dataclass(frozen=True)
class Ranking:
    """Items from easiest to hardest. Stored once: another machine rounds measures otherwise and may rank otherwise."""

    ids: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the ids in their order, in hexadecimal digits."""
        return digest_of_json(self.ids)


def rank(hardness: Mapping[str, float], key: int) -> Ranking:
    """Ranks items; those equally hard by a hash of `key` and id, so that their order in the file does not matter.

    Args:
        hardness: id -> measure, larger for harder.

    Raises:
        UserError: an item is not measured.
    """
    missing = [item for item, value in hardness.items() if math.isnan(value)]
    if missing:
        problem = f"{len(missing)} of {len(hardness)} items have no measure of difficulty, the first is '{missing[0]}'"
        raise UserError(f"subset: {problem}; choose another measure or train the reference stage for longer")
    return Ranking(tuple(sorted(hardness, key=lambda item: (hardness[item], derive_seed(key, "tie", item)))))


def take(ranking: Ranking, labels: Mapping[str, Hashable], part: Part, fraction: float, key: int) -> tuple[str, ...]:
    """The ids of a part of the ranking, in its order.

    The same share of each label is taken, rounded down, whatever the part: parts are of equal size with equal labels,
    and at a fraction of at most a third easiest, middle and hardest have no item in common.

    Args:
        labels: id -> stratum; one for all where labels cannot be stratified.
        fraction: above 0, at most 1.
        key: of the random part, which depends on nothing else than key, fraction and the ids of each label.

    Raises:
        UserError: a label has too few items to take any.
    """
    assert 0 < fraction <= 1
    strata: dict[Hashable, list[str]] = {}
    for item in ranking.ids:
        strata.setdefault(labels[item], []).append(item)
    taken: set[str] = set()
    for label, items in strata.items():
        size = math.floor(fraction * len(items) + 1e-9)  # 0.29 of 100 is 29
        if size == 0:
            problem = f"label '{label}' has {len(items)} items, and {fraction:g} of them is none"
            raise UserError(f"subset: {problem}; take a larger fraction")
        if part == "random":
            items = sorted(items, key=lambda item: derive_seed(key, "random subset", item))
        start = {"easiest": 0, "random": 0, "middle": (len(items) - size) // 2, "hardest": len(items) - size}[part]
        taken.update(items[start : start + size])
    return tuple(item for item in ranking.ids if item in taken)
