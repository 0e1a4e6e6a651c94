"""The bootstrap over test items, against the variance of a difference of proportions."""

from __future__ import annotations

import numpy as np
import pytest

from xstilts.analysis.statistics.estimate import TEstimate, detectable
from xstilts.analysis.statistics.items import WidestOf, item_bootstrap
from xstilts.analysis.statistics.mean import seed_mean


def accuracy(sums: np.ndarray) -> np.ndarray:
    return 100 * sums[..., 0] / sums[..., 1]


def statistics(*runs: np.ndarray) -> np.ndarray:
    """Runs of right (1) or wrong (0) per item -> [seeds, items, (right, total)]."""
    return np.stack([np.stack([run, np.ones(len(run))], axis=1) for run in runs])


ITEMS = np.arange(400)
ARM = (ITEMS < 240).astype(float)
BASELINE = ((ITEMS >= 40) & (ITEMS < 220)).astype(float)


def test_the_interval_is_that_of_a_paired_difference_of_proportions() -> None:
    estimate = item_bootstrap(statistics(ARM), statistics(BASELINE), accuracy, num_resamples=20_000)
    # 60 items won, none lost, of 400: 15 points, standard error 100 sqrt(0.15 x 0.85 / 400).
    margin = 1.96 * 100 * (0.15 * 0.85 / 400) ** 0.5
    assert estimate.effect == pytest.approx(15.0)
    assert estimate.interval() == pytest.approx((15 - margin, 15 + margin), abs=0.25)
    assert detectable(estimate) == pytest.approx(margin * 2.8016 / 1.96, rel=0.05)
    assert estimate.p_value() < 0.001


def test_the_same_weights_do_not_differ() -> None:
    estimate = item_bootstrap(statistics(ARM), statistics(ARM), accuracy)
    assert estimate.interval() == (0.0, 0.0)
    assert estimate.p_value() == 1.0


def test_an_item_is_drawn_with_all_its_runs() -> None:
    """Two runs that are right on the same items are no less uncertain than one."""
    one = item_bootstrap(statistics(ARM), statistics(BASELINE), accuracy)
    two = item_bootstrap(statistics(ARM, ARM), statistics(BASELINE, BASELINE), accuracy)
    assert two.interval() == pytest.approx(one.interval())


def test_two_seeds_that_agree_are_as_uncertain_as_their_items() -> None:
    almost = ARM.copy()
    almost[0] = 0.0
    arm, baseline = statistics(ARM, almost), statistics(BASELINE, BASELINE)
    over_items = item_bootstrap(arm, baseline, accuracy)
    over_seeds = seed_mean((accuracy(arm.sum(axis=1)) - accuracy(baseline.sum(axis=1)))[:, None])
    low, high = over_seeds.interval()
    assert high - low < 3.5
    shown = WidestOf(over_seeds, over_items)
    low, high = shown.interval()
    assert high - low > 6.5
    assert shown.p_value() == over_seeds.p_value()
    assert detectable(shown) > detectable(over_items) - 1e-9


def test_the_wider_error_counts_whichever_it_is() -> None:
    narrow, wide = (TEstimate(np.array(1.0), np.array(error), np.array(9.0)) for error in (0.1, 1.0))
    for estimate in (WidestOf(narrow, wide), WidestOf(wide, narrow)):
        assert estimate.interval() == wide.interval()
        assert estimate.p_value() == wide.p_value()
