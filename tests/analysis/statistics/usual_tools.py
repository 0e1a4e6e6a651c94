"""Tools in common use that call far more nulls than they say: kept to show that the grid finds them out."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import stats

from xstilts.analysis.statistics.estimate import Array, TEstimate


def row_regression(changes: Array, predictor: Array) -> TEstimate:
    """Least squares of every cell [n, tasks, seeds, languages] on a property of its task: rows as the unit."""
    n, num_tasks, num_seeds, num_languages = changes.shape
    num_rows = num_tasks * num_seeds * num_languages
    x = np.repeat(predictor - predictor.mean(), num_seeds * num_languages)
    y = changes.reshape(n, -1)
    slope = y @ x / (x @ x)
    residual = y - y.mean(axis=1, keepdims=True) - slope[:, None] * x
    variance = (residual**2).sum(axis=1) / (num_rows - 2)
    return TEstimate(slope, np.sqrt(variance / (x @ x)), np.full_like(slope, num_rows - 2))


def cellwise_brown_forsythe(arm: Array, baseline: Array) -> Array:
    """p of Brown and Forsythe's test of scores [n, seeds, languages], every cell's deviation counted by itself."""
    deviations = [np.abs(x - np.median(x, axis=1, keepdims=True)).reshape(len(x), -1) for x in (arm, baseline)]
    p: Array = stats.ttest_ind(*deviations, axis=1).pvalue
    return p


def seed_bootstrap(changes: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Percentile interval of the mean of three seeds [n, 3, languages] from all 27 resamples."""
    by_seed = changes.mean(axis=2)
    means = np.stack([by_seed[:, list(chosen)].mean(axis=1) for chosen in product(range(3), repeat=3)], axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return low, high


def independent_cells(changes: Array) -> TEstimate:
    """t over all cells [n, seeds, languages], as if each were a draw."""
    num_cells = changes.shape[1] * changes.shape[2]
    mean = changes.mean(axis=(1, 2))
    return TEstimate(mean, changes.std(axis=(1, 2), ddof=1) / num_cells**0.5, np.full_like(mean, num_cells - 1))
