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
        {"languages": ["fin_Latn", "fin_Latn"]},
    ],
)
def test_what_cannot_be_answered_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        question(**keys)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("question.contrasts.H1.arm=nin", r"contrasts\.H1\.arm: 'nin' is not in this study; did you mean 'nine'\?"),
        ("question.contrasts.H1.against=non", r"contrasts\.H1\.against: 'non' is not .*; did you mean 'none'\?"),
        ("question.targets=[udpo]", r"unknown task 'udpo'; did you mean 'udpos'\?"),
        ("question.targets=[xnli]", r"targets: 'xnli' is not in this study; known: tatoeba, udpos, xcopa"),
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
