from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import ChoiceExample
from xstilts.tasks import find_task

ROW: dict[str, Any] = {
    "link": "https://en.wikibooks.org/wiki/Accordion",
    "question_number": 2,
    "flores_passage": "Hakikisha mkono wako.",
    "question": "Nini?",
    "mc_answer1": "a",
    "mc_answer2": "b",
    "mc_answer3": "c",
    "mc_answer4": "d",
    "correct_answer_num": "3",
    "dialect": "swh_Latn",
    "ds": "2023-05-03",
}
EXAMPLE = ChoiceExample(
    "https://en.wikibooks.org/wiki/Accordion#2", "Hakikisha mkono wako.", "Nini?", ("a", "b", "c", "d"), 2
)


def test_belebele(release: Callable[[str, str], Path], read_split: Callable[..., Any]) -> None:
    release("belebele/swh_Latn.jsonl", json.dumps(ROW) + "\n" + json.dumps({**ROW, "correct_answer_num": 1}))
    examples, _ = read_split("belebele", "test", "swh_Latn")
    assert examples[0] == EXAMPLE
    assert examples[1].label == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"correct_answer_num": 5}, "correct_answer_num 5 is not 1 to 4"),
        ({"correct_answer_num": ""}, "correct_answer_num '' is not 1 to 4"),
        ({"mc_answer4": None}, "field 'mc_answer4' is not a text"),
    ],
)
def test_broken_belebele(
    release: Callable[[str, str], Path], user_error: Callable[..., str], change: dict[str, Any], problem: str
) -> None:
    path = release("belebele/zul_Latn.jsonl", json.dumps({**ROW, **change}))
    assert user_error("belebele", "test", "zul_Latn").startswith(f"{path}:1: {problem}; ")


def test_languages_are_those_of_the_release() -> None:
    languages = find_task("belebele").languages
    assert len(languages) == 74
    assert {"wol_Latn", "tir_Ethi", "kea_Latn", "zho_Hans"} <= languages.keys()
    assert not {"bem_Latn", "ewe_Latn", "fon_Latn", "pcm_Latn", "twi_Latn", "que_Latn", "xxx_Latn"} & languages.keys()


def test_hub_row() -> None:
    hub = find_task("belebele").hub
    assert hub is not None
    assert hub.example(ROW, 0) == EXAMPLE
