"""Verdicts by the place of the interval, and the sentence that says them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xstilts.analysis.statistics.answer import Estimand, Finding, Remedy, Unit, Verdict, judge, judge_primary
from xstilts.analysis.statistics.estimate import PermutationEstimate, Scale, TEstimate
from xstilts.analysis.statistics.sentence import render


def finding(effect: float, error: float, **fields: Any) -> Finding:
    """An effect whose 95 % margin is 2.262157 standard errors (t, 9 df)."""
    given: dict[str, Any] = {
        "name": "hardest - easiest",
        "measure": "points",
        "estimand": Estimand.THESE_LANGUAGES,
        "estimate": TEstimate(np.array(effect), np.array(error), np.array(9.0)),
        "matters": 1.0,
        "num_seeds": 10,
        "num_languages": 20,
        "remedy": lambda level: Remedy(Unit.SEEDS, 7),
    }
    return Finding(**{**given, **fields})


@pytest.mark.parametrize(
    ("effect", "error", "verdict", "different"),
    [
        (3.0, 1.0, Verdict.YES, True),
        (-3.0, 1.0, Verdict.YES, True),
        (0.3, 0.2, Verdict.NO_LARGER, False),
        (0.5, 0.1, Verdict.NO_LARGER, True),
        (-0.5, 0.1, Verdict.NO_LARGER, True),
        (0.9, 0.2, Verdict.YES, True),
        (1.0, 1.0, Verdict.CANNOT_TELL, False),
        (0.6, 0.27, Verdict.CANNOT_TELL, False),
    ],
)
def test_verdicts_by_the_place_of_the_interval(effect: float, error: float, verdict: Verdict, different: bool) -> None:
    answer = judge(finding(effect, error))
    assert (answer.verdict, answer.excludes_no_effect) == (verdict, different)
    assert (answer.remedy is not None) == (verdict is Verdict.CANNOT_TELL)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(1.1, 4.0, "yes"), (0.2, 0.8, "yes"), (0.7, 1.4, "no larger"), (1.1, 1.4, "no larger"), (0.5, 1.4, "cannot tell")],
)
def test_a_ratio_is_bounded_on_both_sides(low: float, high: float, verdict: str) -> None:
    thresholds = np.linspace(low, high, 39)
    estimate = PermutationEstimate.of(np.array((low * high) ** 0.5), thresholds, Scale.RATIO)
    assert judge(finding(0, 0, estimate=estimate, matters=1.5)).verdict.value == verdict


def test_without_the_least_design_nothing_is_said() -> None:
    answer = judge(finding(30.0, 1.0, lacking=Remedy(Unit.SEEDS, 2), num_seeds=3))
    assert answer.verdict is Verdict.CANNOT_TELL
    assert answer.remedy == Remedy(Unit.SEEDS, 7)
    assert answer.interval[0] > 0
    answer = judge(finding(30.0, 1.0, lacking=Remedy(Unit.FAMILIES, 1)))
    assert answer.remedy == Remedy(Unit.FAMILIES, 1)


def test_primary_contrasts_are_judged_at_holms_levels() -> None:
    # p = 0.0003, 0.030 and 0.034: each by itself would be a yes, but the second is held against 0.025.
    findings = [finding(effect, 1.0) for effect in (5.5, 2.57, 2.5)]
    assert [judge(x).verdict for x in findings] == [Verdict.YES] * 3
    answers = judge_primary(findings)
    assert [x.verdict for x in answers] == [Verdict.YES, Verdict.CANNOT_TELL, Verdict.CANNOT_TELL]
    assert [x.level for x in answers] == pytest.approx([1 - 0.05 / 3, 0.975, 0.975])


def test_the_sentence_has_all_parts() -> None:
    text = render(judge(finding(3.0, 1.0, set_aside=("Collapsed: 1 of 11 runs of hardest.",))))
    assert text == (
        "Yes. hardest - easiest: +3.00 points in these languages (95 % interval +0.74 to +5.26, p = 0.015; 10 seeds, "
        "20 languages). An effect of 3.15 points would have been found four times in five. "
        "Collapsed: 1 of 11 runs of hardest."
    )


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({}, "Cannot tell: 7 more seeds. "),
        ({"remedy": lambda level: Remedy(Unit.SEEDS, 1)}, "Cannot tell: 1 more seed. "),
        ({"remedy": lambda level: Remedy(Unit.SEEDS, None)}, "Cannot tell: more seeds. "),
        (
            {"remedy": lambda level: Remedy(Unit.LANGUAGES, 12)},
            "Cannot tell: 12 more languages; seeds alone do not suffice. ",
        ),
        (
            {"remedy": lambda level: Remedy(Unit.FAMILIES, 1)},
            "Cannot tell: 1 more language family; seeds alone do not suffice. ",
        ),
        ({"matters": 9.0}, "No larger than 9.00 points. "),
    ],
)
def test_the_sentence_starts_with_the_verdict(fields: dict[str, Any], start: str) -> None:
    assert render(judge(finding(1.0, 1.0, **fields))).startswith(start)


def test_a_difference_too_small_to_matter_is_said_to_be_one() -> None:
    assert render(judge(finding(0.5, 0.1))).startswith("No larger than 1.00 points, though there is a difference. ")


def test_a_missing_interval_is_said() -> None:
    estimate = PermutationEstimate.of(np.array(2.0), np.ones(20))
    text = render(judge(finding(0, 0, estimate=estimate)))
    assert "so few permutations give no 95 % interval" in text
    assert "No effect, however large, would have been found." in text


def test_a_smallest_effect_that_matters_is_asked_for() -> None:
    with pytest.raises(AssertionError):
        replace(finding(1.0, 1.0), matters=0.0)
