"""Cutting a global batch into packed micro-batches, and dividing those over ranks.

The cut looks at lengths alone, so it is the same on any number of ranks, and with it dropout, which is seeded by
the micro-batch's place in its step. Ranks only divide the micro-batches.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np


def pack(lengths: Sequence[int] | np.ndarray, budget: int) -> list[list[int]]:
    """Bins of item indices whose lengths (tokens) add up to at most `budget`, by best fit of the longest first.

    An item longer than the budget gets a bin of its own: an example is never split. Ties go to the lower index.
    """
    given = np.asarray(lengths, dtype=np.int64)
    if len(given) and given.sum() <= budget:
        return [list(range(len(given)))]
    order, falling = _longest_first(given)
    ends = falling.cumsum().tolist()
    rising = (-falling).tolist()
    bins: list[list[int]] = []
    room: list[int] = []
    i = 0
    while i < len(order):
        length = -rising[i]
        fuller = max((left for left in room if left < length), default=0)
        fitting = [b for b in range(len(bins)) if room[b] >= length]
        if fitting:
            best = min(fitting, key=lambda b: (room[b], b))
        else:
            best = len(bins)
            bins.append([])
            room.append(budget)
        # What follows goes there too, as long as there is room and nothing is short enough for a fuller bin.
        before = ends[i] - length
        end = max(i + 1, min(bisect_right(ends, before + room[best]), bisect_left(rising, -fuller)))
        bins[best] += order[i:end]
        room[best] -= ends[end - 1] - before
        i = end
    return [sorted(members) for members in bins]


def spread(lengths: Sequence[int] | np.ndarray, budget: int, num_bins: int) -> list[list[int]]:
    """`num_bins` bins of like load, or the least multiple of it with which none exceeds the budget: each item, longest
    first, goes to the bin that holds least. Fewer where there are fewer items.

    Packing under a budget of a `num_bins`th would nearly always leave a rest for one bin more.
    """
    order, falling = _longest_first(lengths)
    longest_first = list(zip(order, falling.tolist(), strict=True))
    count = num_bins
    while True:
        bins: list[list[int]] = [[] for _ in range(count)]
        load = [(0, b) for b in range(count)]
        for i, length in longest_first:
            held, lightest = load[0]
            heapq.heapreplace(load, (held + length, lightest))
            bins[lightest].append(i)
        if max(load)[0] <= budget or count >= len(lengths):
            return [sorted(members) for members in bins if members]
        count += num_bins


def divide(costs: Sequence[int], world_size: int) -> list[list[int]]:
    """Micro-batch indices per rank: at most ceil(n / world_size) each, the load balanced by cost (longest first).

    Every rank must run the same number of forwards; the caller fills the short ones up with empty micro-batches.
    """
    capacity = -(-len(costs) // world_size)
    ranks: list[list[int]] = [[] for _ in range(world_size)]
    with_room = [(0, rank) for rank in range(world_size)]  # a heap: the least loaded first, of those the lowest rank
    for i in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        load, rank = heapq.heappop(with_room)
        ranks[rank].append(i)
        if len(ranks[rank]) < capacity:
            heapq.heappush(with_room, (load + costs[i], rank))
    return [sorted(members) for members in ranks]


def _longest_first(lengths: Sequence[int] | np.ndarray) -> tuple[list[int], np.ndarray]:
    """The order of the items by falling length, equal ones as they stand, and the lengths in it, int64."""
    given = np.asarray(lengths, dtype=np.int64)
    order = (-given).argsort(kind="stable")
    return order.tolist(), given[order]
