"""Intervals, p-values and detectable effects belong together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from xstilts.analysis.statistics.estimate import PermutationEstimate, Scale, TEstimate, detectable

THRESHOLDS = arrays(np.float64, st.integers(39, 130), elements=st.integers(-9, 9).map(float) | st.just(float("nan")))


def test_t_is_scipys_one_sample_test() -> None:
    values = np.array([1.5, -0.5, 2.0, 3.5, 1.0])
    expected = stats.ttest_1samp(values, 0)
    estimate = TEstimate(np.array(values.mean()), np.array(stats.sem(values)), np.array(4.0))
    assert estimate.p_value() == pytest.approx(expected.pvalue)
    assert estimate.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)))
    # Two-sided 95 % and one-sided 80 % quantiles of t with 4 df, from a table.
    assert detectable(estimate) == pytest.approx((2.776445 + 0.940965) * stats.sem(values), rel=1e-5)


def test_no_spread_and_no_effect_is_not_called() -> None:
    zero = np.zeros(2)
    estimate = TEstimate(np.array([0.0, 1.0]), zero, zero + 4)
    assert estimate.p_value().tolist() == [1.0, 0.0]


@given(THRESHOLDS, st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
@settings(max_examples=100, deadline=None)
def test_an_interval_excludes_no_effect_exactly_where_p_says_so(thresholds: np.ndarray, level: float) -> None:
    estimate = PermutationEstimate.of(np.array(0.0), thresholds)
    low, high = estimate.interval(level)
    assert (low > 0 or high < 0) == (estimate.p_value() <= 1 - level + 1e-9)


def test_ranks_among_thresholds_by_hand() -> None:
    # 40 permutations with the identity: 2.5 % of them are one, so the ends are the outermost thresholds.
    estimate = PermutationEstimate.of(np.array(20.0), np.arange(39.0, 0.0, -1.0))
    assert estimate.num_permutations == 40
    assert estimate.interval() == (1.0, 39.0)
    assert estimate.interval(0.8) == (4.0, 36.0)
    assert estimate.p_value() == pytest.approx(2 / 40)
    assert detectable(estimate) == pytest.approx(32.0 - 1.0)


def test_too_few_permutations_have_no_interval() -> None:
    difference = PermutationEstimate.of(np.array(1.0), np.ones(38))
    assert difference.interval() == (-np.inf, np.inf)
    assert detectable(difference) == np.inf
    ratio = PermutationEstimate.of(np.array(2.0), np.full(38, 2.0), Scale.RATIO)
    assert ratio.interval() == (0.0, np.inf)
    assert detectable(ratio) == np.inf


def test_a_permutation_that_changes_nothing_counts_at_both_ends() -> None:
    thresholds = np.append(np.arange(1.0, 39.0), np.nan)
    assert PermutationEstimate.of(np.array(20.0), thresholds).interval() == (-np.inf, np.inf)
    assert PermutationEstimate.of(np.array(20.0), thresholds).interval(0.9) == (1.0, 38.0)
