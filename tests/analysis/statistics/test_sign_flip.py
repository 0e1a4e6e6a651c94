"""The sign flip over seeds, against scipy and by brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xstilts.analysis.statistics.sign_flip import MAX_EXACT_SEEDS, sign_flip_mean

CHANGES = np.random.default_rng(3).normal(0.6, 1.0, (8, 3))


def brute_force_p(values: np.ndarray) -> float:
    """Two-sided: twice the share of all sign patterns whose mean is at least as far to the observed side."""
    signs = np.array(list(product([1, -1], repeat=len(values))))
    means = signs @ values
    return min(1.0, 2 * float((means >= abs(values.sum()) - 1e-12).mean()))


def test_p_is_scipys() -> None:
    expected = stats.permutation_test((CHANGES.mean(axis=1),), np.mean, permutation_type="samples", n_resamples=10_000)
    assert sign_flip_mean(CHANGES).p_value() == pytest.approx(expected.pvalue)


@given(st.lists(st.integers(-20, 20), min_size=6, max_size=9))
@settings(max_examples=60, deadline=None)
def test_p_is_that_of_all_flips(values: list[int]) -> None:
    by_seed = np.array(values, dtype=np.float64)
    assert sign_flip_mean(by_seed[:, None]).p_value() == pytest.approx(brute_force_p(by_seed))


def test_the_interval_holds_what_the_test_does_not_reject() -> None:
    low, high = sign_flip_mean(CHANGES).interval()
    by_seed = CHANGES.mean(axis=1)
    for inside, outside in ((low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)):
        assert brute_force_p(by_seed - inside) > 0.05
        assert brute_force_p(by_seed - outside) <= 0.05


def test_six_seeds_that_agree_are_the_fewest_that_are_called() -> None:
    agreeing = np.arange(1.0, 7.0)[:, None]
    assert sign_flip_mean(agreeing[:5]).p_value() == pytest.approx(0.0625)
    assert sign_flip_mean(agreeing[:5]).interval()[0] == -np.inf
    assert sign_flip_mean(agreeing).p_value() == pytest.approx(0.03125)
    assert sign_flip_mean(agreeing).interval() == (1.0, 6.0)


def test_random_flips_agree_with_all_of_them() -> None:
    values = np.random.default_rng(1).normal(0.4, 1, (MAX_EXACT_SEEDS + 1, 2))
    exact = brute_force_p(values.mean(axis=1))
    assert sign_flip_mean(values).p_value() == pytest.approx(exact, abs=4 * (exact / 9999) ** 0.5)
    assert sign_flip_mean(values).p_value() == sign_flip_mean(values).p_value()


def test_an_effect_that_is_added_moves_the_interval_by_as_much() -> None:
    before, after = sign_flip_mean(CHANGES).interval(), sign_flip_mean(CHANGES + 2.5).interval()
    assert [b - a for a, b in zip(before, after, strict=True)] == pytest.approx([2.5, 2.5])
