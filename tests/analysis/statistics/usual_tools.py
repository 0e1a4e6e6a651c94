"""Tools in common use that call far more nulls than they say: kept to show that the grid finds them out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from nulls import Scenario, simulate
from numpy.typing import NDArray
from scipy import stats

from xstilts.analysis.statistics.estimate import Array, TEstimate
from xstilts.analysis.statistics.mean import crossed_mean, seed_mean
from xstilts.analysis.statistics.spread import permuted_ratio

NUM_TASKS = 9


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


Calls = Callable[[Scenario, np.random.Generator, int, int, int], NDArray[np.bool_]]
"""(scenario, generator, tables, seeds, languages) -> which nulls are called."""


def _rows_called(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> NDArray[np.bool_]:
    """Tasks that differ by more than chance, and a property of theirs that has nothing to do with it."""
    effects = [simulate(scenario, generator, n, num_seeds, num_languages) for _ in range(NUM_TASKS)]
    own = generator.standard_normal((n, NUM_TASKS, 1, 1))
    changes = np.stack([x.seeds + x.languages + x.cells for x in effects], axis=1) + own
    return row_regression(changes, generator.standard_normal(NUM_TASKS)).p_value() <= 0.05


def _cells_called(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> NDArray[np.bool_]:
    arm, baseline = (simulate(scenario, generator, n, num_seeds, num_languages) for _ in range(2))
    return cellwise_brown_forsythe(*(x.seeds + x.languages + x.cells for x in (arm, baseline))) <= 0.05


def _mean_deviations_called(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> NDArray[np.bool_]:
    """As `spread_ratio`, but from the languages' means: they are pulled by the very seeds that deviate."""
    effects = [simulate(scenario, generator, n, num_seeds, num_languages) for _ in range(2)]
    scores = [x.seeds + x.languages + x.cells for x in effects]
    arm, baseline = (np.abs(x - x.mean(axis=1, keepdims=True)).mean(axis=2) for x in scores)
    return permuted_ratio(arm, baseline, num_random=999).p_value() <= 0.05


def _bootstrap_called(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> NDArray[np.bool_]:
    """Even of these very languages, whose effects are no part of the error."""
    effects = simulate(scenario, generator, n, 3, num_languages)
    low, high = seed_bootstrap(effects.seeds + effects.cells)
    return (low > 0) | (high < 0)


def _mean_called(mean: Callable[[Array], TEstimate]) -> Calls:
    def called(
        scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
    ) -> NDArray[np.bool_]:
        effects = simulate(scenario, generator, n, num_seeds, num_languages)
        return mean(effects.seeds + effects.languages + effects.cells).p_value() <= 0.05

    return called


USUAL_TOOLS: dict[str, Calls] = {
    "regression of rows on a property of the task": _rows_called,
    "Brown-Forsythe over cells": _cells_called,
    "seeds permuted, deviations from means": _mean_deviations_called,
    "percentile bootstrap of 3 seeds, these languages": _bootstrap_called,
    "all cells as independent, languages like these": _mean_called(independent_cells),
    "t over seeds, languages like these": _mean_called(seed_mean),
    "crossed random effects, families ignored": _mean_called(crossed_mean),
}
