"""Scores out of summed statistics, in the official scripts' order of operations, so that they agree to the bit."""

from __future__ import annotations

import numpy as np


def share(sums: np.ndarray) -> np.ndarray:
    """(achieved, possible) [..., 2] -> achieved / possible x 100."""
    return ratio(sums[..., 0], sums[..., 1]) * 100


def precision(sums: np.ndarray) -> np.ndarray:
    """(correct, predicted, right) [..., 3] -> precision in percent."""
    return ratio(sums[..., 0], sums[..., 1]) * 100


def recall(sums: np.ndarray) -> np.ndarray:
    """(correct, predicted, right) [..., 3] -> recall in percent."""
    return ratio(sums[..., 0], sums[..., 2]) * 100


def f1(sums: np.ndarray) -> np.ndarray:
    """(correct, predicted, right) [..., 3] -> harmonic mean of precision and recall in percent."""
    p, r = ratio(sums[..., 0], sums[..., 1]), ratio(sums[..., 0], sums[..., 2])
    return ratio(2 * p * r, p + r) * 100


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient, 0 where the denominator is 0."""
    quotient: np.ndarray = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return quotient
