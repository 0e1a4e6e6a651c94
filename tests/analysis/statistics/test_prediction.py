"""Prediction of what was held out, by hand and on data made for one of the predictors."""

from __future__ import annotations

import numpy as np
import pytest

from xstilts.analysis.statistics.prediction import leave_one_family_out, leave_one_language_out

GENERATOR = np.random.default_rng(9)
FAMILIES = "aaaabbbbcccc"
SIMILARITY = GENERATOR.standard_normal((5, 12))
TASKS = GENERATOR.standard_normal((5, 1))


def test_by_hand_on_one_task() -> None:
    # Held out 1, 2, 6 of which the other two have means 4, 3.5, 1.5: errors 3, 1.5, 4.5. Their similarities are their
    # own values, so that the slope is 1 and predicts exactly. Family a without the one: 2 and 1; b has no other.
    changes = np.array([[1.0, 2.0, 6.0]])
    errors = leave_one_language_out(changes, changes, "aab")
    assert errors.mean_only == pytest.approx(((3**2 + 1.5**2 + 4.5**2) / 3) ** 0.5)
    assert errors.family_only == pytest.approx(((1 + 1 + 4.5**2) / 3) ** 0.5)
    assert errors.similarity == pytest.approx(0.0)
    assert (errors.num_held_out, errors.num_without_family) == (3, 1)


def test_each_predictor_wins_where_it_is_the_truth() -> None:
    noise = 0.1 * GENERATOR.standard_normal((5, 12))
    by_family = GENERATOR.standard_normal((5, 3))[:, np.repeat(np.arange(3), 4)]
    similar = leave_one_language_out(TASKS + SIMILARITY + noise, SIMILARITY, FAMILIES)
    assert similar.similarity < 0.3 * min(similar.mean_only, similar.family_only)
    related = leave_one_language_out(TASKS + by_family + noise, SIMILARITY, FAMILIES)
    assert related.family_only < 0.3 * min(related.mean_only, related.similarity)
    neither = leave_one_language_out(TASKS + noise, SIMILARITY, FAMILIES)
    assert neither.mean_only <= neither.similarity


def test_a_family_that_is_held_out_leaves_the_mean() -> None:
    errors = leave_one_family_out(TASKS + SIMILARITY, SIMILARITY, FAMILIES)
    assert (errors.num_held_out, errors.num_without_family) == (3, 12)
    assert errors.family_only == errors.mean_only
    assert errors.similarity == pytest.approx(0.0)
