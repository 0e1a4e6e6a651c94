from __future__ import annotations

import hashlib
import random
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.core.errors import UserError
from xstilts.measures.subsets import Part, rank, take

PARTS: tuple[Part, ...] = get_args(Part)


def example(num: int = 60, key: int = 0) -> tuple[dict[str, float], dict[str, str]]:
    """Hardness is the number; every third item is of label 'rare'."""
    hardness = {f"item-{i}": float(i) for i in range(num)}
    return hardness, {item: "rare" if int(value) % 3 == 0 else "common" for item, value in hardness.items()}


def test_by_hand() -> None:
    hardness = {"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.3, "e": 0.7, "f": 0.2}
    ranking = rank(hardness, key=1)
    assert ranking.ids == ("b", "f", "d", "c", "e", "a")
    one = dict.fromkeys(hardness, "")
    assert take(ranking, one, "easiest", 1 / 3, key=1) == ("b", "f")
    assert take(ranking, one, "middle", 1 / 3, key=1) == ("d", "c")
    assert take(ranking, one, "hardest", 1 / 3, key=1) == ("e", "a")
    two = {item: "x" if item in "abc" else "y" for item in hardness}  # x: b c a; y: f d e
    assert take(ranking, two, "hardest", 1 / 3, key=1) == ("e", "a")
    assert take(ranking, two, "easiest", 2 / 3, key=1) == ("b", "f", "d", "c")


def test_digest_names_the_order() -> None:
    digest = rank({"b": 2.0, "a": 1.0}, key=0).digest
    assert digest == hashlib.sha256(b'["a", "b"]').hexdigest()
    assert digest != rank({"b": 1.0, "a": 2.0}, key=0).digest
    assert rank({"ab": 1.0, "c": 2.0}, key=0).digest != rank({"a": 1.0, "bc": 2.0}, key=0).digest


def test_order_of_the_file_does_not_matter_even_among_equals() -> None:
    hardness = {f"item-{i}": float(i // 20) for i in range(100)}
    shuffled = dict(random.Random(3).sample(list(hardness.items()), 100))
    assert rank(hardness, key=5).ids == rank(shuffled, key=5).ids
    assert rank(hardness, key=5).ids != rank(hardness, key=6).ids
    assert [hardness[item] for item in rank(hardness, key=5).ids] == sorted(hardness.values())


def test_equals_are_in_no_order_of_their_names() -> None:
    ids = rank({f"{i:03d}": 0.0 for i in range(200)}, key=0).ids
    displaced = sum(abs(int(item) - place) for place, item in enumerate(ids)) / 200
    assert 50 < displaced < 84  # a random permutation moves an item by a third of 200 on average


@given(st.integers(4, 120), st.sampled_from([0.2, 0.25, 1 / 3, 0.5]), st.integers(0, 3))
def test_parts_are_of_equal_size_and_labels(num: int, fraction: float, key: int) -> None:
    hardness, labels = example(max(num, 15))
    ranking = rank(hardness, key)
    taken = {part: take(ranking, labels, part, fraction, key) for part in PARTS}
    counts = [Counter(labels[item] for item in items) for items in taken.values()]
    assert all(count == counts[0] for count in counts)
    strata = Counter(labels.values())
    assert all(fraction * n - 1 < counts[0][label] <= fraction * n + 1e-6 for label, n in strata.items())
    assert all(len(set(items)) == len(items) for items in taken.values())
    if fraction <= 1 / 3:
        assert not set(taken["easiest"]) & set(taken["middle"])
        assert not set(taken["middle"]) & set(taken["hardest"])
    for label in strata:
        hard = [hardness[item] for item in taken["hardest"] if labels[item] == label]
        easy = [hardness[item] for item in taken["easiest"] if labels[item] == label]
        assert sum(easy) < sum(hard)


def test_random_part_depends_on_the_key_and_not_on_difficulty() -> None:
    hardness, labels = example()
    taken = take(rank(hardness, 0), labels, "random", 0.5, key=7)
    reversed_ranking = rank({item: -value for item, value in hardness.items()}, 0)
    assert set(taken) == set(take(reversed_ranking, labels, "random", 0.5, key=7))
    assert set(taken) != set(take(rank(hardness, 0), labels, "random", 0.5, key=8))


def test_random_part_is_spread_over_difficulty() -> None:
    hardness, labels = example(3000)
    taken = take(rank(hardness, 0), labels, "random", 1 / 3, key=1)
    mean = sum(hardness[item] for item in taken) / len(taken)
    assert abs(mean - 1499.5) < 100  # 3.7 standard errors of a mean of 1000 of 3000


@pytest.mark.parametrize(("fraction", "size"), [(0.29, 29), (0.57, 57), (0.1, 10), (1.0, 100), (1 / 3, 33)])
def test_a_fraction_is_not_cut_by_rounding(fraction: float, size: int) -> None:
    ranking = rank({str(i): float(i) for i in range(100)}, 0)
    for part in PARTS:
        assert len(take(ranking, dict.fromkeys(ranking.ids, ""), part, fraction, 0)) == size


def test_items_without_a_measure_are_an_error() -> None:
    with pytest.raises(UserError, match="subset: 1 of 2 items have no measure of difficulty, the first is 'b'"):
        rank({"a": 1.0, "b": float("nan")}, 0)


def test_a_label_that_would_vanish_is_an_error() -> None:
    ranking = rank({str(i): float(i) for i in range(10)}, 0)
    labels = {str(i): "rare" if i < 2 else "common" for i in range(10)}
    with pytest.raises(UserError, match=r"label 'rare' has 2 items, and 0.333333 of them is none; take a larger"):
        take(ranking, labels, "hardest", 1 / 3, 0)
