from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xstilts.data.packing import divide, pack, spread

LENGTHS = st.lists(st.integers(1, 120), max_size=40)


def test_best_fit_of_the_longest_first() -> None:
    # 7 and 6 open bins of 10; 3 fits the first exactly (room 3 < 4); 3 the second; 2 opens a third
    assert pack([3, 7, 2, 6, 3], 10) == [[0, 1], [3, 4], [2]]


def test_longer_than_the_budget_stands_alone() -> None:
    assert pack([50, 5, 5], 10) == [[0], [1, 2]]
    assert pack([], 10) == []


@given(LENGTHS)
def test_pack_holds_everything_once_within_the_budget(lengths: list[int]) -> None:
    bins = pack(lengths, 100)
    assert sorted(i for members in bins for i in members) == list(range(len(lengths)))
    assert all(members == sorted(members) for members in bins)
    assert all(sum(lengths[i] for i in members) <= 100 or len(members) == 1 for members in bins)
    # best fit leaves at most one bin half empty
    assert sum(sum(lengths[i] for i in members) <= 50 for members in bins) <= 1


@given(st.lists(st.integers(1, 120), max_size=120), st.integers(60, 200))
def test_pack_places_item_by_item(lengths: list[int], budget: int) -> None:
    """Best fit as it is told, one item after the other."""
    bins: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        room = [budget - sum(lengths[j] for j in members) for members in bins]
        best = min((b for b in range(len(bins)) if room[b] >= lengths[i]), key=lambda b: room[b], default=len(bins))
        bins = [*bins, []] if best == len(bins) else bins
        bins[best].append(i)
    assert pack(lengths, budget) == [sorted(members) for members in bins]


def test_spread_balances() -> None:
    # 9, 7 and 6 open bins; 5 joins 6, 4 joins 7, 3 joins 9
    assert spread([3, 4, 5, 6, 7, 9], 100, 3) == [[0, 5], [1, 4], [2, 3]]


def test_spread_takes_a_multiple_where_the_budget_is_too_small_for_less() -> None:
    assert [len(spread([5] * 12, budget, 3)) for budget in (20, 19, 10, 5)] == [3, 6, 6, 12]
    assert spread([50, 5, 5], 10, 2) == [[0], [1], [2]]
    assert spread([5, 5], 10, 4) == [[0], [1]]
    assert spread([], 10, 4) == []


@given(LENGTHS, st.integers(1, 9))
def test_spread_holds_everything_once_within_the_budget(lengths: list[int], num_bins: int) -> None:
    bins = spread(lengths, 300, num_bins)
    assert sorted(i for members in bins for i in members) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in members) <= 300 for members in bins)
    assert len(bins) % num_bins == 0 or len(bins) == len(lengths)


def test_divide_balances() -> None:
    # 9 to rank 0, 8 to rank 1, then 3 to rank 1 (8 < 9), then 2 to rank 0
    assert divide([8, 3, 9, 2], 2) == [[2, 3], [0, 1]]


@given(LENGTHS, st.integers(1, 9))
def test_divide_gives_every_micro_batch_to_one_rank(costs: list[int], world_size: int) -> None:
    ranks = divide(costs, world_size)
    assert len(ranks) == world_size
    assert sorted(i for members in ranks for i in members) == list(range(len(costs)))
    assert max(map(len, ranks)) <= -(-len(costs) // world_size)
