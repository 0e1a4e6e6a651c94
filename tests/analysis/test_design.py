"""What `plan` says that a study can find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from xstilts.analysis.design import describe_design, detectable_ratio
from xstilts.config.question import Question

FOUR_FAMILIES = ["swh_Latn", "yor_Latn", "hau_Latn", "fin_Latn", "jpn_Jpan"]
"""Swahili and Yoruba are of one family."""


def lines(num_seeds: int, languages: list[str] = FOUR_FAMILIES, **keys: Any) -> list[str]:
    given = {"ask": "Why?", "contrasts": {"H1": {"arm": "a", "against": "b"}}, "estimand": "these_languages"}
    question = Question.model_validate({"matters": 1.0, **given, **keys})
    return describe_design(question, {"xquad": ["eng_Latn", *languages]}, num_seeds)


def t_power(effect: float, num_seeds: int, sd: float) -> float:
    """Of a two-sided t test at 5 %, by the noncentral t."""
    df, shift = num_seeds - 1, effect * num_seeds**0.5 / sd
    critical = stats.t.ppf(0.975, df)
    return float(stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift))


def test_these_languages_take_as_many_seeds_as_the_noncentral_t_says() -> None:
    told = lines(8)
    assert told[1] == "Contrasts of the mean: H1 a - b; on xquad; 8 seeds, 5 languages."
    sd = (1 + 1 / 5) ** 0.5
    found = float(told[2].removeprefix("It finds ").partition(" ")[0])
    assert t_power(found, 8, sd) == pytest.approx(0.8, abs=0.01)
    needed = next(n for n in range(5, 100) if t_power(1.0, n, sd) >= 0.8)
    assert told[3] == f"An effect of 1.00 points in these languages takes {needed} seeds."


def test_supposed_variances_are_said() -> None:
    assert "supposing that the change varies by 1 point between seeds and 1 in a cell (SD)" in lines(8)[2]
    assert "1.5 between families" in lines(8, estimand="languages_like_these")[2]


def test_too_few_seeds_give_no_verdict() -> None:
    assert lines(1)[2].startswith("No verdict from 1 seed: it takes 5. Supposed: ")
    assert lines(5, analysis="spread", matters=2.0)[2].startswith("No verdict from 5 seeds: it takes 6. Supposed: ")


def test_more_contrasts_find_less() -> None:
    three = {name: {"arm": "a", "against": "b"} for name in ("H1", "H2", "H3")}
    one, of_three = (float(told[2].split()[2]) for told in (lines(8), lines(8, contrasts=three)))
    assert of_three > 1.1 * one


def test_languages_like_these_may_take_languages_and_not_seeds() -> None:
    # The families alone leave 1.5 / 2 points of standard error, whatever the seeds.
    told = lines(10, estimand="languages_like_these")[3]
    assert told.startswith("An effect of 1.00 points in languages like these takes more families than these 4, ")
    enough = lines(10, estimand="languages_like_these", matters=8.0)[3]
    assert enough == "An effect of 8.00 points in languages like these takes 5 seeds in these 4 families."


def test_few_families_say_nothing_of_others() -> None:
    told = lines(10, ["swh_Latn", "yor_Latn", "fin_Latn"], estimand="languages_like_these")
    assert told[-1] == "No verdict on languages like these from 2 families: it takes 4."


def test_a_doubled_spread_takes_ten_seeds() -> None:
    # By simulation elsewhere a doubled SD is called with power 0.37 at 5 seeds and 0.87 at 10.
    ratios = [detectable_ratio(n, 6) for n in (5, 10)]
    assert ratios[0] > 2 > ratios[1]
    assert np.isfinite(ratios).all()
    assert lines(10, analysis="spread", matters=2.0)[3] == "A ratio of 2 takes about 10 seeds of each arm."


def test_a_slope_over_tasks_says_which_correlation_it_takes() -> None:
    on = {arm: float(k) for k, arm in enumerate("abcdefgfi")}
    slopes = {"H1": {"arms": list(on), "against": "none", "of": "code length", "measured": on}}
    told = lines(4, analysis="slope", contrasts={}, slopes=slopes, estimand="tasks_like_these")
    assert told[1] == f"Slopes: H1 code length, {len(on)} tasks; on xquad; 4 seeds, 5 languages."
    assert told[2] == "No verdict from 4 seeds: it takes 5."
    df = len(on) - 2
    t = stats.t.ppf(0.975, df)
    assert told[3].startswith(f"{len(on)} tasks call a correlation of {t / (t**2 + df) ** 0.5:.2f} and more")


@pytest.mark.parametrize(
    ("languages", "said"),
    [
        (["swh_Latn", "yor_Latn", "zul_Latn", "ibo_Latn", "fin_Latn"], "24 ways: no verdict, it takes 40."),
        (["swh_Latn", "yor_Latn", "zul_Latn", "ibo_Latn", "kin_Latn"], "120 ways: enough."),
    ],
)
def test_a_slope_on_similarity_says_whether_languages_can_be_permuted(languages: list[str], said: str) -> None:
    on = {arm: dict.fromkeys(languages, 0.5) for arm in ("a", "b")}
    slopes = {"H1": {"arms": ["a", "b"], "against": "none", "of": "cosine", "measured": on}}
    told = lines(8, languages, analysis="slope", contrasts={}, slopes=slopes, estimand="languages_like_these")
    assert told[2:] == [f"5 languages can be permuted within families in {said}"]
