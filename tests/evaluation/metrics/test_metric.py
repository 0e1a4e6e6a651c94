from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from xstilts.core.errors import UserError
from xstilts.evaluation.metrics import find_metric, interval


def test_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        find_metric("acuracy")


def test_no_items_score_zero() -> None:
    for name in ("accuracy", "token_accuracy", "tag_f1", "squad_f1", "top1", "mining_f1", "chrf"):
        metric = find_metric(name)
        width = {"tag_f1": 3, "mining_f1": 3, "chrf": 18}.get(name, 2)
        assert float(metric.value(np.zeros(width))) == 0.0
        assert metric.score([], []) == 0.0
        assert interval(metric.table([], []), metric) == (0.0, 0.0)


def test_interval_of_equal_items_is_a_point() -> None:
    assert interval(np.array([[1.0, 2.0]] * 7), find_metric("accuracy")) == (50.0, 50.0)


def test_interval_of_two_items_by_hand() -> None:
    # Resampled accuracies are 0, 50 and 100 with probabilities 1/4, 1/2, 1/4: both tails are the extremes.
    assert interval(np.array([[1.0, 1.0], [0.0, 1.0]]), find_metric("accuracy")) == (0.0, 100.0)
    # At level 0.4 the tails of 0.3 lie inside the middle mass.
    assert interval(np.array([[1.0, 1.0], [0.0, 1.0]]), find_metric("accuracy"), level=0.4) == (50.0, 50.0)


def test_interval_is_the_binomial_quantile() -> None:
    table = np.array([[1.0, 1.0]] * 30 + [[0.0, 1.0]] * 70)
    low, high = interval(table, find_metric("accuracy"), num_resamples=20_000)
    assert low == pytest.approx(binom.ppf(0.025, 100, 0.3), abs=1)
    assert high == pytest.approx(binom.ppf(0.975, 100, 0.3), abs=1)


def test_interval_depends_on_the_seed_alone() -> None:
    table = np.random.default_rng(1).random((500, 2))
    metric = find_metric("squad_f1")
    assert interval(table, metric, seed=3) == interval(table, metric, seed=3)
    assert interval(table, metric, seed=3) == interval(table[::-1], metric, seed=3)
    assert interval(table, metric, seed=3) != interval(table, metric, seed=4)


def test_interval_of_an_f1_holds_its_score() -> None:
    metric = find_metric("tag_f1")
    table = np.array([[1.0, 2.0, 1.0], [0.0, 1.0, 2.0], [2.0, 2.0, 3.0]] * 20)
    low, high = interval(table, metric)
    # 60 correct of 100 predicted and 120 gold: precision 0.6, recall 0.5.
    assert float(metric.value(table.sum(axis=0))) == pytest.approx(100 * 2 * 0.3 / 1.1)
    assert low < 100 * 2 * 0.3 / 1.1 < high
