from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from xstilts.measures.null_models import (
    choice_null_bits,
    mlm_null_bits,
    pair_null_bits,
    span_null_bits,
    tagging_null_bits,
)


def test_pair_by_hand() -> None:
    """Three quarters 'yes': log2(4/3) = 0.41504 bits; one quarter 'no': 2 bits."""
    assert pair_null_bits(["yes", "yes", "no", "yes"]) == pytest.approx([0.4150375, 0.4150375, 2.0, 0.4150375])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=50))
def test_pair_is_the_entropy_on_average(labels: list[int]) -> None:
    entropy = stats.entropy(np.unique(labels, return_counts=True)[1], base=2)
    assert pair_null_bits(labels).mean() == pytest.approx(entropy, abs=1e-12)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_no_other_constant_prediction_costs_less(labels: list[str], weights: list[float]) -> None:
    other = dict(zip("abc", np.array(weights) / sum(weights), strict=True))
    assert pair_null_bits(labels).sum() <= -sum(math.log2(other[label]) for label in labels) + 1e-9


def test_choice_by_hand() -> None:
    """Of two questions with two options the first and the second is right once each: 1 bit each. Of three questions
    with four options the last is right twice: log2(3/2) = 0.58496; the first once: log2(3) = 1.58496."""
    bits = choice_null_bits([0, 1, 3, 3, 0], [2, 2, 4, 4, 4])
    assert bits == pytest.approx([1.0, 1.0, 0.5849625, 0.5849625, 1.5849625])


def test_tagging_by_hand() -> None:
    """Four words: N thrice, V once; an item without labelled words costs nothing."""
    bits = tagging_null_bits([["N", "V"], [], ["N", "N"]])
    assert bits == pytest.approx([0.4150375 + 2.0, 0.0, 2 * 0.4150375])


def test_span_by_hand() -> None:
    """Three of four windows hold no answer: 0.41504 bits each. The one that does: 2 bits, and 5 bits each for start and
    end among 32 tokens beside `<s>`."""
    bits = span_null_bits([[33, 33], [10], [10]], [[False, True], [False], [False]])
    assert bits == pytest.approx([0.4150375 + 2.0 + 10.0, 0.4150375, 0.4150375])


def test_span_where_every_window_is_answered() -> None:
    assert span_null_bits([[17], [9]], [[True], [True]]) == pytest.approx([8.0, 6.0])


def test_mlm_by_hand() -> None:
    """Pieces at 1/2, 1/4, 1/4 have an entropy of 1.5 bits; one that never occurs changes nothing."""
    assert mlm_null_bits(np.array([2, 0, 3]), np.array([0, 200, 100, 100])) == pytest.approx([3.0, 0.0, 4.5])
