"""The ratio of spreads, against scipy's permutation test and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from xstilts.analysis.statistics.estimate import detectable
from xstilts.analysis.statistics.spread import deviations, spread_ratio

GENERATOR = np.random.default_rng(4)
ARM = 60 + 3 * GENERATOR.standard_normal((6, 4))
BASELINE = 50 + GENERATOR.standard_normal((5, 4))


def test_deviations_by_hand() -> None:
    # Medians 2 and 20 of the languages; seed 0 deviates by 1 and 0, seed 2 by 4 and 10.
    scores = np.array([[1.0, 20.0], [2.0, 5.0], [6.0, 30.0]])
    assert deviations(scores).tolist() == [0.5, 7.5, 7.0]


def test_p_is_scipys_for_the_deviations_of_seeds() -> None:
    expected = stats.permutation_test(
        (deviations(ARM), deviations(BASELINE)), lambda a, b: a.mean() - b.mean(), n_resamples=10_000
    )
    assert spread_ratio(ARM, BASELINE).p_value() == pytest.approx(expected.pvalue)


def test_the_interval_holds_the_ratios_that_the_test_does_not_reject() -> None:
    low, high = spread_ratio(ARM, BASELINE).interval()

    def p(ratio: float) -> float:
        centred = ARM - np.median(ARM, axis=0)
        return float(spread_ratio(centred / ratio, BASELINE).p_value())

    assert p(low * 1.0001) > 0.05 >= p(low * 0.9999)
    assert p(high * 0.9999) > 0.05 >= p(high * 1.0001)


def test_scaling_an_arm_scales_the_interval() -> None:
    before, after = spread_ratio(ARM, BASELINE), spread_ratio(2 * ARM, BASELINE)
    assert after.effect == pytest.approx(2 * before.effect)
    assert [float(end) for end in after.interval()] == pytest.approx([2 * float(end) for end in before.interval()])
    assert detectable(after) == pytest.approx(detectable(before))


def test_levels_of_languages_and_shifts_of_arms_do_not_matter() -> None:
    low, high = spread_ratio(ARM + np.array([0.0, 10.0, -30.0, 5.0]), BASELINE - 7).interval()
    assert [low, high] == pytest.approx([float(end) for end in spread_ratio(ARM, BASELINE).interval()])


def test_an_arm_that_never_varies_is_not_called_larger() -> None:
    flat = np.full((6, 2), 3.0)
    assert spread_ratio(flat, flat + 1).p_value() == 1.0
