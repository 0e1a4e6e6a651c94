"""Slopes over task means, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from xstilts.analysis.statistics.task_regression import detectable_r, smallest_callable_r, task_slope

DIFFICULTY = np.array([0.1, 0.25, 0.3, 0.5, 0.55, 0.7, 0.72, 0.9, 0.95])


def test_slope_and_p_are_scipys() -> None:
    means = 1.5 * DIFFICULTY + np.random.default_rng(2).normal(size=(3, 9))
    estimate = task_slope(means, DIFFICULTY)
    for i in range(3):
        expected = stats.linregress(DIFFICULTY, means[i])
        assert estimate.effect[i] == pytest.approx(expected.slope)
        assert estimate.standard_error[i] == pytest.approx(expected.stderr)
        assert estimate.p_value()[i] == pytest.approx(expected.pvalue)


def test_the_smallest_callable_correlation_is_just_called() -> None:
    r = smallest_callable_r(9)
    x = stats.zscore(DIFFICULTY)
    noise = np.random.default_rng(0).normal(size=9)
    noise -= np.polyval(np.polyfit(x, noise, 1), x)
    for correlation, called in ((r + 1e-6, True), (r - 1e-6, False)):
        y = correlation * x + (1 - correlation**2) ** 0.5 * stats.zscore(noise)
        assert (task_slope(y, DIFFICULTY).p_value() <= 0.05) == called
    # A table of critical values of r, 7 df.
    assert r == pytest.approx(0.666, abs=5e-4)


@pytest.mark.parametrize("num_tasks", [5, 9, 25])
def test_the_detectable_correlation_is_called_four_times_in_five(num_tasks: int) -> None:
    r = detectable_r(num_tasks)
    generator = np.random.default_rng(1)
    x, noise = generator.standard_normal((2, 4000, num_tasks))
    y = r * x + (1 - r**2) ** 0.5 * noise
    called = np.mean([abs(np.corrcoef(a, b)[0, 1]) > smallest_callable_r(num_tasks) for a, b in zip(x, y, strict=True)])
    assert called == pytest.approx(0.8, abs=0.02)
