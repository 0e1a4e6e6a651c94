"""The two means over seeds and languages, against statsmodels and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats

from xstilts.analysis.statistics.mean import MeanSquares, crossed_mean, seed_mean
from xstilts.analysis.statistics.planning import VarianceComponents


def crossed(num_seeds: int, num_languages: int, *, seed_sd: float = 1.0, language_sd: float = 1.5) -> np.ndarray:
    generator = np.random.default_rng(5)
    return (
        2.0
        + seed_sd * generator.standard_normal((num_seeds, 1))
        + language_sd * generator.standard_normal((1, num_languages))
        + generator.standard_normal((num_seeds, num_languages))
    )


def frame(changes: np.ndarray) -> pd.DataFrame:
    seeds, languages = np.indices(changes.shape)
    return pd.DataFrame({"y": changes.ravel(), "s": seeds.ravel(), "l": languages.ravel(), "all": 1})


def test_mean_squares_are_those_of_statsmodels_anova() -> None:
    changes = crossed(5, 7)
    table = sm.stats.anova_lm(smf.ols("y ~ C(s) + C(l)", frame(changes)).fit())
    found = MeanSquares.of(changes)
    assert [found.seeds, found.languages, found.error] == pytest.approx(table["mean_sq"].tolist())


def test_the_crossed_mean_is_that_of_a_mixed_model() -> None:
    """On a balanced table with positive components the method of moments and REML are the same."""
    changes = crossed(10, 8)
    model = smf.mixedlm("y ~ 1", frame(changes), groups="all", vc_formula={"s": "0 + C(s)", "l": "0 + C(l)"})
    expected = model.fit(reml=True)
    estimate = crossed_mean(changes)
    assert estimate.effect == pytest.approx(expected.fe_params["Intercept"])
    assert estimate.standard_error == pytest.approx(expected.bse_fe["Intercept"], rel=1e-3)
    components = VarianceComponents.of(changes)
    by_name = dict(zip(model.exog_vc.names, expected.vcomp, strict=True))
    assert [components.seed, components.language] == pytest.approx([by_name["s"], by_name["l"]], rel=1e-2)
    assert components.error == pytest.approx(expected.scale, rel=1e-3)


def test_satterthwaite_by_hand() -> None:
    # Mean squares 6, 10 and 2 of 6 seeds x 11 languages: variance 14 / 66; 14^2 / (36/5 + 100/10 + 4/50) df.
    squares = MeanSquares(np.array(6.0), np.array(10.0), np.array(2.0), 6, 11)
    standard_error, df = squares.error_of_mean()
    assert standard_error == pytest.approx((14 / 66) ** 0.5)
    assert df == pytest.approx(196 / 17.28)


def test_few_seeds_or_languages_have_the_fewest_df() -> None:
    for shape in [(3, 20), (20, 3), (4, 4)]:
        assert crossed_mean(crossed(*shape)).df == min(shape) - 1


def test_a_difference_of_mean_squares_that_vanishes_leaves_half_the_error() -> None:
    squares = MeanSquares(np.array(0.5), np.array(0.5), np.array(2.0), 5, 5)
    assert squares.error_of_mean()[0] == pytest.approx((1.0 / 25) ** 0.5)


def test_a_table_without_any_spread_has_no_error() -> None:
    estimate = crossed_mean(np.full((5, 6), 1.5))
    assert (float(estimate.effect), float(estimate.standard_error)) == (1.5, 0.0)
    assert np.isfinite(estimate.df)
    assert crossed_mean(np.zeros((5, 6))).p_value() == 1.0


def test_these_languages_are_a_t_test_of_the_seeds_means() -> None:
    changes = crossed(6, 4)
    expected = stats.ttest_1samp(changes.mean(axis=1), 0)
    estimate = seed_mean(changes)
    assert estimate.p_value() == pytest.approx(expected.pvalue)
    assert estimate.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_languages_that_differ_widen_only_the_claim_about_languages_like_these() -> None:
    near, far = crossed(10, 6, language_sd=0.1), crossed(10, 6, language_sd=10.0)
    assert seed_mean(far).standard_error == pytest.approx(seed_mean(near).standard_error)
    assert crossed_mean(far).standard_error > 10 * crossed_mean(near).standard_error


def test_leading_axes_are_tables_by_themselves() -> None:
    first, second = crossed(5, 6), crossed(5, 6) ** 2
    both = crossed_mean(np.stack([first, second]))
    assert both.standard_error.tolist() == pytest.approx(
        [float(crossed_mean(x).standard_error) for x in (first, second)]
    )
