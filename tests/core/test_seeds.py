from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.core.seeds import derive_seed, permute, splitmix64


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 100, 1023, 1024, 1025, 4097, 70_000])
def test_bijection(size: int) -> None:
    assert sorted(permute(np.arange(size), size, key=12345).tolist()) == list(range(size))


@given(st.integers(1, 3000), st.integers(0, 2**63 - 1))
def test_bijection_for_any_size_and_key(size: int, key: int) -> None:
    assert len(set(permute(np.arange(size), size, key).tolist())) == size


@given(st.integers(2, 2**40), st.integers(0, 2**63 - 1), st.data())
def test_random_access_equals_sequential(size: int, key: int, data: st.DataObject) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20)))
    together = permute(index, size, key)
    assert [int(permute(index[i : i + 1], size, key)[0]) for i in range(len(index))] == together.tolist()
    assert ((together >= 0) & (together < size)).all()


def test_every_order_of_three_occurs() -> None:
    orders = Counter(tuple(permute(np.arange(3), 3, derive_seed("epoch", i)).tolist()) for i in range(3000))
    assert len(orders) == 6
    # 500 of each are expected; sqrt(3000 x 1/6 x 5/6) = 20 is one standard deviation
    assert all(350 < count < 650 for count in orders.values())


def test_first_place_is_spread_evenly() -> None:
    firsts = Counter(int(permute(np.array([0]), 10, derive_seed(i))[0]) for i in range(5000))
    assert all(400 < firsts[i] < 600 for i in range(10))


def test_no_memory_and_time_for_a_huge_range() -> None:
    begun = time.perf_counter()
    permute(np.arange(1000), 2**50, 7)
    assert time.perf_counter() - begun < 1.0


def test_seed_is_63_bits_and_sensitive_to_each_name() -> None:
    seeds = {derive_seed(0, "a"), derive_seed(1, "a"), derive_seed(0, "b"), derive_seed("0a"), derive_seed(0, "a", 0)}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "a") == derive_seed(0, "a")


def test_outputs_are_those_of_splitmix64() -> None:
    """As printed by Vigna's C (prng.di.unimi.it/splitmix64.c) from the state 1234567."""
    printed = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert splitmix64(1234567, np.arange(5)).tolist() == printed
    assert splitmix64(1234567, np.array([4, 1])).tolist() == [printed[4], printed[1]]
