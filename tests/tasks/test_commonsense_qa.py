from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import ChoiceExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]

OPTIONS = ("bank", "library", "department store", "mall", "new york")
STEM = "A revolving door is convenient at a what?"
ROW: dict[str, Any] = {
    "answerKey": "B",
    "id": "1afa",
    "question": {
        "question_concept": "revolving door",
        "choices": [{"label": letter, "text": text} for letter, text in zip("ABCDE", OPTIONS, strict=True)],
        "stem": STEM,
    },
}
EXAMPLE = ChoiceExample("1afa", STEM, "", OPTIONS, 1)


def test_choices(release: Release, read_split: Callable[..., Any]) -> None:
    release("commonsense_qa/dev_rand_split.jsonl", json.dumps(ROW))
    assert read_split("commonsense_qa", "dev")[0] == [EXAMPLE]


def test_unknown_answer(release: Release, user_error: Callable[..., str]) -> None:
    path = release(
        "commonsense_qa/train_rand_split.jsonl", json.dumps(ROW) + "\n" + json.dumps({**ROW, "answerKey": "F"})
    )
    assert user_error("commonsense_qa", "train") == f"{path}:2: unknown answer 'F'; known: A, B, C, D, E"


@pytest.mark.parametrize(
    "change",
    [
        lambda question: question.pop("stem"),
        lambda question: question.pop("choices"),
        lambda question: question["choices"].pop(),
        lambda question: question["choices"].reverse(),
        lambda question: question["choices"][2].update(text=None),
        lambda question: question["choices"][2].pop("text"),
    ],
)
def test_broken_question(
    release: Release, user_error: Callable[..., str], change: Callable[[dict[str, Any]], Any]
) -> None:
    row = copy.deepcopy(ROW)
    change(row["question"])
    path = release("commonsense_qa/dev_rand_split.jsonl", json.dumps(row))
    assert user_error("commonsense_qa", "dev").startswith(
        f"{path}:1: 'question' does not hold a stem and choices A, B, C, D, E in this order; "
    )


def test_file_without_answers(release: Release, user_error: Callable[..., str]) -> None:
    path = release("commonsense_qa/dev_rand_split.jsonl", json.dumps({"id": "1", "question": ROW["question"]}))
    assert user_error("commonsense_qa", "dev").startswith(f"{path}:1: no field 'answerKey'; ")


def test_hub_row() -> None:
    hub = find_task("commonsense_qa").hub
    assert hub is not None
    choices = {"label": list("ABCDE"), "text": list(OPTIONS)}
    row = {"id": "1afa", "question": STEM, "question_concept": "door", "choices": choices, "answerKey": "B"}
    assert hub.example(row, 0) == EXAMPLE


@pytest.mark.parametrize(("split", "size"), [("train", 9_741), ("dev", 1_221)])
def test_real_release(real_data: Path, read_split: Callable[..., Any], split: str, size: int) -> None:
    examples, _ = read_split("commonsense_qa", split, root=real_data)
    assert len(examples) == len({example.id for example in examples}) == size
