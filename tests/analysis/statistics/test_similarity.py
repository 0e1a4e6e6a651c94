"""The slope on similarity: least squares with effects, and permutations within families."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from xstilts.analysis.statistics.similarity import num_permutations, similarity_slope

GENERATOR = np.random.default_rng(6)
SIMILARITY = GENERATOR.standard_normal((4, 5))
CHANGES = 0.8 * SIMILARITY + 2 * GENERATOR.standard_normal((4, 1)) + GENERATOR.standard_normal((4, 5))


def slope(changes: np.ndarray, similarity: np.ndarray) -> float:
    tasks, languages = np.indices(changes.shape)
    data = pd.DataFrame(
        {"y": changes.ravel(), "x": similarity.ravel(), "task": tasks.ravel(), "language": languages.ravel()}
    )
    return float(smf.ols("y ~ x + C(task) + C(language)", data).fit().params["x"])


def test_the_slope_is_that_of_least_squares_with_task_and_language_effects() -> None:
    assert similarity_slope(CHANGES, SIMILARITY, "aaaaa").effect == pytest.approx(slope(CHANGES, SIMILARITY))


def test_p_is_the_rank_among_all_orders_of_languages() -> None:
    slopes = np.array([slope(CHANGES, SIMILARITY[:, list(order)]) for order in permutations(range(5))])
    at_least = (slopes >= slopes[0] - 1e-9).mean()
    assert at_least < 0.5
    assert similarity_slope(CHANGES, SIMILARITY, "aaaaa").p_value() == pytest.approx(2 * at_least)


def test_orders_stay_within_families() -> None:
    assert num_permutations("abaab") == 12
    orders = [(0, 1, 2), (0, 2, 1)]
    slopes = np.array([slope(CHANGES[:, :3], SIMILARITY[:, list(order)]) for order in orders])
    estimate = similarity_slope(CHANGES[:, :3], SIMILARITY[:, :3], "abb")
    assert estimate.num_permutations == 2
    assert estimate.p_value() == min(1.0, 2 * (slopes >= slopes[0]).mean(), 2 * (slopes <= slopes[0]).mean())


def test_the_interval_holds_the_slopes_that_the_test_does_not_reject() -> None:
    low, high = similarity_slope(CHANGES, SIMILARITY, "aaaaa").interval()

    def p(supposed: float) -> float:
        return float(similarity_slope(CHANGES - supposed * SIMILARITY, SIMILARITY, "aaaaa").p_value())

    assert p(low + 1e-6) > 0.05 >= p(low - 1e-6)
    assert p(high - 1e-6) > 0.05 >= p(high + 1e-6)


def test_what_families_share_is_no_slope() -> None:
    """Similarity and change both follow the family alone: called over all languages, not within families."""
    families = "aaaaaabbbbbbcccccc"
    generator = np.random.default_rng(8)
    shared = generator.standard_normal((6, 3))[:, np.repeat(np.arange(3), 6)]
    similarity = shared + 0.3 * generator.standard_normal((6, 18))
    changes = 2 * shared + generator.standard_normal((6, 18))
    assert similarity_slope(changes, similarity, "a" * 18).p_value() < 0.001
    assert similarity_slope(changes, similarity, families).p_value() > 0.05


def test_random_orders_agree_with_all_of_them() -> None:
    exact = similarity_slope(CHANGES, SIMILARITY, "aaaaa").p_value()
    doubled = np.concatenate([CHANGES, CHANGES + 1], axis=1), np.concatenate([SIMILARITY, SIMILARITY], axis=1)
    estimate = similarity_slope(*doubled, "aaaaabcdef", num_random=10)
    assert estimate.num_permutations == 120
    drawn = similarity_slope(np.tile(CHANGES, 2), np.tile(SIMILARITY, 2), "a" * 10, num_random=4999)
    assert drawn.num_permutations > 4900
    assert drawn.p_value() < exact
