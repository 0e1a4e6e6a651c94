"""The question of a recipe."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from xstilts.config.languages import write_out_languages
from xstilts.config.load import load_recipe
from xstilts.config.question import Question
from xstilts.core.errors import UserError

SCORED = {"xquad": ["eng_Latn", "swh_Latn", "fin_Latn"], "udpos": ["eng_Latn", "fin_Latn"], "squad_v1": ["eng_Latn"]}


def question(**keys: Any) -> Question:
    given = {"ask": "Why?", "contrasts": {"H1": {"arm": "a", "against": "b"}}, "matters": 2.0}
    return Question.model_validate({**given, "estimand": "these_languages", **keys})


def test_all_targets_and_all_languages_but_english_unless_it_names_them() -> None:
    assert question().cells(SCORED) == {"xquad": ["swh_Latn", "fin_Latn"], "udpos": ["fin_Latn"]}
    named = question(targets=["udpos", "squad_v1"], languages=["eng_Latn"])
    assert named.cells(SCORED) == {"udpos": ["eng_Latn"], "squad_v1": ["eng_Latn"]}


def test_nothing_outside_english() -> None:
    with pytest.raises(ValueError, match="no target is scored outside English"):
        question(targets=["squad_v1"]).cells(SCORED)


@pytest.mark.parametrize(
    "keys",
    [
        {"analysis": "spread", "matters": 1.0},
        {"analysis": "spread", "estimand": "languages_like_these"},
        {"contrasts": {"H1": {"arm": "a", "against": "a"}}},
        {"contrasts": {}},
        {"matters": 0.0},
        {"analysis": "slope"},
        {"estimand": "tasks_like_these"},
        {"slopes": {"H2": {"arms": ["a", "b"], "against": "c", "of": "x", "measured": {"a": 1, "b": 2}}}},
        {"languages": ["fin_Latn", "fin_Latn"]},
    ],
)
def test_what_cannot_be_answered_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        question(**keys)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("question.contrasts.planted.arm=nin", r"planted\.arm: 'nin' is not in this study; did you mean 'nine'\?"),
        ("question.contrasts.planted.against=non", r"planted\.against: 'non' is not .*; did you mean 'none'\?"),
        ("question.targets=[udpo]", r"'udpo' is not in this study; did you mean 'udpos'\?"),
        ("question.targets=[xnli]", r"targets: 'xnli' is not in this study; known: tatoeba, udpos"),
        ("question.languages=[qac_Latn]", r"languages: 'qac_Latn' is not in this study; did you mean 'qa._"),
        ("question.estimnd=these_languages", r"unknown key 'question\.estimnd'; did you mean 'estimand'\?"),
    ],
)
def test_a_mistake_is_one_line_with_the_remedy(override: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem) as error:
        load_recipe("demo", [override])
    assert len(str(error.value).splitlines()) == 1


def test_languages_by_code() -> None:
    raw: dict[str, Any] = {"question": {"languages": ["sw", "Finnish"]}}
    write_out_languages(raw)
    assert raw["question"]["languages"] == ["swh_Latn", "fin_Latn"]


ON = {arm: {"swh_Latn": 0.1, "fin_Latn": 0.2} for arm in ("a", "b")}


def slope(estimand: str = "languages_like_these", **keys: Any) -> Question:
    given = {"arms": ["a", "b"], "against": "none", "of": "cosine", "measured": ON}
    return question(analysis="slope", contrasts={}, slopes={"H1": {**given, **keys}}, estimand=estimand)


def test_a_slope_says_of_what_it_is_an_estimate() -> None:
    assert slope().slopes["H1"].by_language == ON
    assert slope("tasks_like_these", measured={"a": 1, "b": 2.5}).slopes["H1"].by_arm == {"a": 1.0, "b": 2.5}
    with pytest.raises(ValidationError, match="a slope says of languages_like_these; set estimand to that"):
        slope("tasks_like_these")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"measured": {"a": ON["a"]}}, "measured: arm 'b' is not measured"),
        ({"arms": ["a"]}, "at least 2 items"),
        ({"against": "a"}, "'a' is held against itself"),
        ({"measured": {**ON, "b": {"Swahili": 1.0}}}, "no language key"),
        ({"measured": {**ON, "b": {"swh_Latn": float("nan")}}}, "finite number"),
    ],
)
def test_a_slope_that_cannot_be_estimated_is_refused(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        slope(**keys)


def test_a_slope_is_of_arms_and_languages_of_the_study() -> None:
    slope().check(["none", "a", "b"], SCORED)
    with pytest.raises(ValueError, match=r"slopes\.H1\.arms: 'b' is not in this study"):
        slope().check(["none", "a"], SCORED)
    with pytest.raises(ValueError, match="with every arm no language of the question"):
        slope(measured={"a": {"swh_Latn": 1}, "b": {"fin_Latn": 1}}).check(["none", "a", "b"], SCORED)


def test_a_change_beyond_english_takes_scores_in_english() -> None:
    beyond = question(analysis="beyond_english", targets=["xquad"])
    beyond.check(["a", "b"], SCORED)
    with pytest.raises(ValueError, match="'xquad' is not scored in English"):
        beyond.check(["a", "b"], {"xquad": ["swh_Latn", "fin_Latn"]})
    with pytest.raises(ValueError, match="the change in English is taken off"):
        question(analysis="beyond_english", languages=["eng_Latn", "fin_Latn"]).check(["a", "b"], SCORED)
