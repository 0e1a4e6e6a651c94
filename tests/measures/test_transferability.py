"""Oracles are written from the papers' formulas, by other means than the code: densities, explicit matrices, loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy.stats import multivariate_normal

from xstilts.measures.transferability import h_score, leep, log_me, shrunk_h_score


def problem(seed: int, n: int, d: int, num_classes: int, signal: float) -> tuple[np.ndarray, np.ndarray]:
    """Classes with Gaussian features of unequal scales, whose means are `signal` apart."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, n - num_classes)])
    means = signal * rng.normal(size=(num_classes, d))
    return (means[labels] + rng.normal(size=(n, d))) * rng.uniform(0.2, 3, d) + 0.5, labels


def brute_force_log_me(features: np.ndarray, labels: np.ndarray) -> float:
    """You et al. (2021), equation 1: y ~ N(0, I/beta + F F'/alpha), maximised numerically over both from several
    starts; mean over classes, per sample."""
    n = len(features)
    values = []
    for label in np.unique(labels):
        y = (labels == label).astype(float)

        def loss(log_precisions: np.ndarray, y: np.ndarray = y) -> float:
            alpha, beta = np.exp(np.clip(log_precisions, -30, 30))
            covariance = np.eye(n) / beta + features @ features.T / alpha
            return -float(multivariate_normal.logpdf(y, np.zeros(n), covariance, allow_singular=True))

        found = []
        for start in [(0, 0), (3, 3), (6, 1), (-3, 2), (10, 2)]:
            options = {"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000}
            found.append(optimize.minimize(loss, start, method="Nelder-Mead", options=options).fun)
        values.append(-min(found) / n)
    return float(np.mean(values))


@pytest.mark.parametrize(
    ("n", "d", "num_classes", "signal"),
    [(40, 5, 2, 1.0), (40, 5, 3, 0.3), (30, 12, 4, 1.0), (20, 35, 2, 0.7), (24, 24, 3, 0.5)],
)
def test_log_me_equals_brute_force(n: int, d: int, num_classes: int, signal: float) -> None:
    features, labels = problem(n + d, n, d, num_classes, signal)
    assert log_me(features, labels) == pytest.approx(brute_force_log_me(features, labels), abs=1e-6)


def test_log_me_of_dependent_features_equals_brute_force() -> None:
    features, labels = problem(1, 30, 4, 3, 0.5)
    features = np.hstack([features, features[:, :2] + features[:, 2:]])
    assert log_me(features, labels) == pytest.approx(brute_force_log_me(features, labels), abs=1e-6)


@pytest.mark.parametrize("measure", [log_me, h_score])
def test_features_that_are_always_zero_change_nothing(measure: Callable[[np.ndarray, np.ndarray], float]) -> None:
    features, labels = problem(2, 30, 4, 3, 0.5)
    padded = np.hstack([features, np.zeros((30, 2))])
    assert measure(padded, labels) == pytest.approx(measure(features, labels), abs=1e-9)


def test_log_me_where_features_are_best_unused() -> None:
    """Features orthogonal to each label's indicator: alpha goes to infinity, and beta is n over y'y."""
    labels = np.array([0, 0, 1, 1] * 5)
    features = np.array([[1.0], [-1.0], [1.0], [-1.0]] * 5)
    by_hand = np.mean([-0.5 * math.log(2 * math.pi * 10 / 20) - 0.5 for _ in range(2)])
    assert log_me(features, labels) == pytest.approx(by_hand, abs=1e-6)


def test_log_me_is_infinite_where_labels_are_linear_in_few_features() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0])
    assert log_me(np.stack([labels, 1 - labels], 1).astype(float), labels) == math.inf


@pytest.mark.parametrize("measure", [log_me, h_score, shrunk_h_score])
def test_more_signal_and_invariance(measure: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """Of features only their span and scale count, of labels only equality."""
    scores = [measure(*problem(3, 300, 10, 3, signal)) for signal in (0.0, 0.3, 1.0, 3.0)]
    assert scores == sorted(scores) and scores[0] < scores[-1]
    features, labels = problem(4, 60, 6, 3, 0.5)
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 6)))[0]
    names = np.array(["x", "y", "z"])[labels]
    assert measure(3 * features @ rotation, names) == pytest.approx(measure(features, labels), abs=1e-9)


def class_means(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each sample's E[f|y]."""
    return np.stack([features[labels == label].mean(0) for label in labels])


@pytest.mark.parametrize(("n", "d", "num_classes"), [(50, 4, 2), (80, 10, 5), (200, 30, 3)])
def test_h_score_equals_the_trace(n: int, d: int, num_classes: int) -> None:
    """Bao et al. (2019): tr(cov(f)^-1 cov(E[f|y])), by an explicit inverse."""
    features, labels = problem(n, n, d, num_classes, 0.5)
    between = np.cov(class_means(features, labels), rowvar=False)
    expected = np.trace(np.linalg.inv(np.cov(features, rowvar=False)) @ between)
    assert h_score(features, labels) == pytest.approx(expected, abs=1e-6)


def test_h_score_of_dependent_features_counts_them_once() -> None:
    features, labels = problem(6, 60, 5, 3, 0.5)
    doubled = np.hstack([features, features @ np.ones((5, 2))])
    assert h_score(doubled, labels) == pytest.approx(h_score(features, labels), abs=1e-9)


def test_h_score_says_nothing_where_features_outnumber_samples() -> None:
    """The reason for shrinking: noise reaches the maximum, number of classes - 1, as well as signal does."""
    noise, signal = problem(7, 40, 60, 4, 0.0), problem(7, 40, 60, 4, 1.0)
    assert [h_score(*noise), h_score(*signal)] == pytest.approx([3.0, 3.0])
    assert shrunk_h_score(*noise) < 0.5 * shrunk_h_score(*signal)


@pytest.mark.parametrize(("n", "d", "num_classes"), [(50, 4, 2), (80, 10, 5), (30, 60, 3)])
def test_shrunk_h_score_equals_the_trace(n: int, d: int, num_classes: int) -> None:
    """Ledoit and Wolf (2004): b^2 is the mean squared Frobenius distance of x x' from S over n, d^2 that of S from m I,
    a = b^2/d^2; Ibrahim et al. (2022): tr(((1 - a) S + a m I)^-1 (1 - a) cov(E[f|y]))."""
    features, labels = problem(n, n, d, num_classes, 0.5)
    x = features - features.mean(0)
    covariance = x.T @ x / n
    target = np.trace(covariance) / d * np.eye(d)
    error = sum(float(np.sum((np.outer(row, row) - covariance) ** 2)) for row in x) / n**2
    shrinkage = min(1.0, error / float(np.sum((covariance - target) ** 2)))
    assert 0 < shrinkage < 1
    between = np.cov(class_means(features, labels), rowvar=False)
    shrunk = (1 - shrinkage) * covariance + shrinkage * target
    expected = np.trace(np.linalg.inv(shrunk) @ ((1 - shrinkage) * between))
    assert shrunk_h_score(features, labels) == pytest.approx(expected, abs=1e-6)


def loop_leep(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Nguyen et al. (2020), steps 1 to 3, sample by sample."""
    n, num_source = probabilities.shape
    total = 0.0
    for i in range(n):
        expected = 0.0
        for z in range(num_source):
            marginal = sum(probabilities[j, z] for j in range(n)) / n
            joint = sum(probabilities[j, z] for j in range(n) if labels[j] == labels[i]) / n
            if marginal > 0:
                expected += joint / marginal * probabilities[i, z]
        total += math.log(expected)
    return total / n


@given(st.integers(0, 10_000), st.integers(2, 25), st.integers(1, 5), st.integers(1, 4))
def test_leep_equals_loops(seed: int, n: int, num_source: int, num_target: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(num_source), n), rng.integers(0, num_target, n)
    assert leep(probabilities, labels) == pytest.approx(loop_leep(probabilities, labels), abs=1e-9)


def test_leep_by_hand() -> None:
    """A source head that is sure and right is worth 0; one that says nothing is worth minus the entropy of labels."""
    labels = np.array([0, 0, 1, 1])
    assert leep(np.eye(2)[labels], labels) == pytest.approx(0.0)
    assert leep(np.full((4, 3), 1 / 3), labels) == pytest.approx(-math.log(2))


def test_leep_with_a_source_label_that_is_never_given() -> None:
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.1, 0.9, 0.0]])
    assert leep(probabilities, labels) == pytest.approx(loop_leep(probabilities, labels))
