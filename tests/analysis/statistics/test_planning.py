"""Power and the size of a design, against the noncentral t and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from xstilts.analysis.statistics.mean import crossed_mean
from xstilts.analysis.statistics.planning import (
    VarianceComponents,
    detectable_effect,
    languages_needed,
    power,
    seeds_needed,
)

BOTH = VarianceComponents(seed=1.0, language=2.25, error=1.0)


@pytest.mark.parametrize("num_seeds", [3, 5, 10, 40])
def test_power_over_seeds_is_that_of_the_noncentral_t(num_seeds: int) -> None:
    effect, sd = 1.3, 1.7
    critical = stats.t.ppf(0.975, num_seeds - 1)
    noncentral = stats.nct(num_seeds - 1, effect / sd * num_seeds**0.5)
    expected = noncentral.sf(critical) + noncentral.cdf(-critical)
    assert power(effect, VarianceComponents(sd**2, 0, 0), num_seeds, 1, 0.95) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("num_seeds", "num_languages"), [(5, 6), (10, 20), (20, 4)])
def test_power_in_languages_like_these_by_simulation(num_seeds: int, num_languages: int) -> None:
    generator = np.random.default_rng(0)
    n, effect = 6000, detectable_effect(BOTH, num_seeds, num_languages)
    changes = effect + generator.standard_normal((n, num_seeds, 1))
    changes = changes + 1.5 * generator.standard_normal((n, 1, num_languages))
    changes = changes + generator.standard_normal((n, num_seeds, num_languages))
    assert (crossed_mean(changes).p_value() <= 0.05).mean() == pytest.approx(0.8, abs=0.02)


def test_the_seeds_needed_are_the_fewest_that_suffice() -> None:
    effect = 1.3
    needed = seeds_needed(effect, BOTH, 20)
    assert needed is not None
    assert power(effect, BOTH, needed - 1, 20, 0.95) < 0.8 <= power(effect, BOTH, needed, 20, 0.95)


def test_where_languages_differ_too_much_no_number_of_seeds_suffices() -> None:
    # 1.5 / sqrt(20) alone is a standard error of 0.34, and 0.34 x 2.8 is above 0.9.
    assert seeds_needed(0.9, BOTH, 20) is None
    needed = languages_needed(0.9, BOTH, 20)
    assert needed is not None
    assert power(0.9, BOTH, 20, needed, 0.95) >= 0.8 > power(0.9, BOTH, 20, needed - 1, 0.95)


def test_where_seeds_differ_too_much_no_number_of_languages_suffices() -> None:
    assert languages_needed(0.5, BOTH, 10) is None


def test_nothing_that_varies_takes_the_least_design() -> None:
    none = VarianceComponents(0.0, 0.0, 0.0)
    assert detectable_effect(none, 5, 6) == 0.0
    assert (seeds_needed(0.1, none, 6), languages_needed(0.1, none, 5)) == (5, 4)


def test_components_that_come_out_negative_are_zero() -> None:
    changes = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert VarianceComponents.of(changes) == VarianceComponents(0.0, 0.0, 4.0)
