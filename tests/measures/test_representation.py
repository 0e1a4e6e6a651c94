from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from xstilts.measures.representation import centroid_distance, cka_by_layer, linear_cka, mean_embedding_cosine

seeds = st.integers(0, 2**32 - 1)
both = pytest.mark.parametrize("debiased", [False, True])


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def hsic(k: np.ndarray, m: np.ndarray) -> float:
    """tr(K H L H): the biased estimate but for its factor, which cancels in CKA (Kornblith et al. 2019)."""
    n = len(k)
    h = np.eye(n) - np.ones((n, n)) / n
    return float(np.trace(k @ h @ m @ h))


def unbiased_hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Equation 3 of Nguyen et al. (2021)."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    terms = (
        np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)
    )
    return float(terms / (n * (n - 3)))


@both
def test_equals_the_papers_formula(debiased: bool) -> None:
    x, y = normal(0, 20, 6) + 3, normal(1, 20, 9) @ np.diag(np.arange(1.0, 10))
    y[:, :6] += x
    estimate = unbiased_hsic if debiased else hsic
    k, m = x @ x.T, y @ y.T
    expected = estimate(k, m) / np.sqrt(estimate(k, k) * estimate(m, m))
    assert linear_cka(x, y, debiased=debiased) == pytest.approx(expected, abs=1e-10)


@both
@settings(max_examples=20)
@given(seed=seeds, scale=st.floats(1e-3, 1e3))
def test_is_one_with_itself_and_under_rotation_scaling_and_shift(debiased: bool, seed: int, scale: float) -> None:
    x = normal(seed, 30, 5)
    rotation = ortho_group.rvs(5, random_state=np.random.default_rng(seed))
    for y in (x, x @ rotation, scale * x, x + 7, scale * x @ rotation - 2):
        assert linear_cka(x, y, debiased=debiased) == pytest.approx(1.0, abs=1e-9)


@both
def test_is_below_one_under_anisotropic_scaling(debiased: bool) -> None:
    x = normal(2, 50, 5)
    assert linear_cka(x, x @ np.diag([10.0, 1, 1, 1, 1]), debiased=debiased) < 0.9


@both
@given(seed=seeds)
def test_is_symmetric(debiased: bool, seed: int) -> None:
    x, y = normal(seed, 12, 3), normal(seed + 1, 12, 8)
    assert linear_cka(x, y, debiased=debiased) == pytest.approx(linear_cka(y, x, debiased=debiased), abs=1e-12)


def test_of_unrelated_wide_representations_only_the_debiased_is_near_zero() -> None:
    plain, debiased = [], []
    for seed in range(10):
        x, y = normal(2 * seed, 40, 400), normal(2 * seed + 1, 40, 400)
        plain.append(linear_cka(x, y, debiased=False))
        debiased.append(linear_cka(x, y, debiased=True))
    assert np.mean(plain) > 0.85
    assert abs(np.mean(debiased)) < 0.05


def test_order_of_items_matters() -> None:
    x = normal(3, 40, 6)
    assert linear_cka(x, x[::-1], debiased=True) < 0.5


def test_a_large_mean_costs_no_digits() -> None:
    x, y = normal(4, 25, 4), normal(5, 25, 4)
    expected = linear_cka(x, y, debiased=True)
    assert linear_cka((x + 1e5), y - 1e5, debiased=True) == pytest.approx(expected, abs=1e-8)


def test_by_layer() -> None:
    x, y = normal(6, 3, 20, 4), normal(7, 3, 20, 4)
    y[1] = x[1]
    found = cka_by_layer(x, y, debiased=True)
    assert found.shape == (3,) and found[1] == pytest.approx(1) and max(found[0], found[2]) < 0.5


def test_mean_embedding_cosine_by_hand() -> None:
    """Means (1, 0) and (3, 4): 3/5."""
    first, second = np.array([[2.0, 1.0], [0.0, -1.0]]), np.array([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]])
    assert mean_embedding_cosine(first, second) == pytest.approx(0.6)


def test_centroid_distance_by_hand() -> None:
    """Means 4 apart; mean squared distances from the mean are 1 and 7: 4/sqrt(4)."""
    first = np.array([[1.0, 0.0], [-1.0, 0.0]])
    second = np.array([[4.0 + np.sqrt(7), 0.0], [4.0 - np.sqrt(7), 0.0]])
    assert centroid_distance(first, second) == pytest.approx(2.0)


@given(seed=seeds, scale=st.floats(1e-2, 1e2))
def test_centroid_distance_has_no_unit(seed: int, scale: float) -> None:
    x, y = normal(seed, 10, 4), normal(seed + 1, 14, 4) + 1
    rotation = ortho_group.rvs(4, random_state=np.random.default_rng(seed))
    moved = centroid_distance(scale * x @ rotation + 5, scale * y @ rotation + 5)
    assert moved == pytest.approx(centroid_distance(x, y))
    assert centroid_distance(x, x) == pytest.approx(0.0)


def test_half_precision_input_is_summed_in_double() -> None:
    x = normal(8, 4000, 3).astype(np.float16)
    assert mean_embedding_cosine(x, x) == pytest.approx(1.0, abs=1e-12)
