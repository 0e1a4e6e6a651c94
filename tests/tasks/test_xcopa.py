from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import ChoiceExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]
ReadSplit = Callable[..., tuple[list[Any], Any]]

ROW: dict[str, Any] = {
    "premise": "Mwanaume alifungua bomba.",
    "choice1": "Choo kilijaa.",
    "choice2": "Maji yalitiririka.",
    "question": "effect",
    "label": 1,
    "idx": 7,
    "changed": False,
}
EXAMPLE = ChoiceExample(
    "7", "Mwanaume alifungua bomba. What was the effect?", "", ("Choo kilijaa.", "Maji yalitiririka."), 1
)
SIQA = {"context": "Jo fell.", "question": "Why?", "answerA": "ice", "answerB": "joy", "answerC": "tea"}


@pytest.mark.parametrize(
    ("task", "split", "language", "file"),
    [
        ("xcopa", "dev", "swh_Latn", "xcopa/sw/val.sw.jsonl"),
        ("xcopa", "test", "zho_Hans", "xcopa/zh/test.zh.jsonl"),
        ("xcopa", "test", "qab_Cyrl", "xcopa/qab/test.qab.jsonl"),
        ("copa", "train", "eng_Latn", "copa/train.jsonl"),
        ("copa", "dev", "eng_Latn", "copa/val.jsonl"),
    ],
)
def test_alternatives(release: Release, read_split: ReadSplit, task: str, split: str, language: str, file: str) -> None:
    release(file, json.dumps(ROW) + "\r\n" + json.dumps({**ROW, "question": "cause", "idx": 8, "label": 0}))
    examples, _ = read_split(task, split, language)
    assert examples[0] == EXAMPLE
    assert (examples[1].id, examples[1].context, examples[1].label) == (
        "8",
        "Mwanaume alifungua bomba. What was the cause?",
        0,
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"label": 2}, "label 2 is neither 0 nor 1"),
        ({"label": "1"}, "label '1' is neither 0 nor 1"),
        ({"question": "why"}, "question 'why' is neither cause nor effect"),
        ({"choice2": None}, "field 'choice2' is not a text"),
    ],
)
def test_broken_row(release: Release, user_error: Callable[..., str], change: dict[str, Any], problem: str) -> None:
    path = release("xcopa/ta/test.ta.jsonl", json.dumps(ROW) + "\n" + json.dumps({**ROW, **change}) + "\n")
    assert user_error("xcopa", "test", "tam_Taml").startswith(f"{path}:2: {problem}; ")


def test_siqa_with_labels_apart(release: Release, read_split: ReadSplit, user_error: Callable[..., str]) -> None:
    release("siqa/dev.jsonl", (json.dumps(SIQA) + "\n") * 2)
    labels = release("siqa/dev-labels.lst", "3\n1\n")
    assert read_split("siqa", "dev")[0] == [
        ChoiceExample("0", "Jo fell. Why?", "", ("ice", "joy", "tea"), 2),
        ChoiceExample("1", "Jo fell. Why?", "", ("ice", "joy", "tea"), 0),
    ]
    for content, line, problem in (
        ("3\n", 1, "fewer labels than questions in dev.jsonl"),
        ("3\n1\n2\n", 3, "more labels than the 2 questions"),
        ("3\n4\n", 2, "label '4' is none of the three answers"),
    ):
        labels.write_text(content)
        assert user_error("siqa", "dev").startswith(f"{labels}:{line}: {problem}")


def test_siqa_with_labels_in_the_rows(release: Release, read_split: ReadSplit, user_error: Callable[..., str]) -> None:
    release("siqa/socialIQa_v1.4_trn.jsonl", json.dumps({**SIQA, "correct": "B"}))
    assert read_split("siqa", "train")[0][0].label == 1
    path = release("siqa/socialIQa_v1.4_dev.jsonl", json.dumps({**SIQA, "correct": "12"}))
    assert user_error("siqa", "dev").startswith(f"{path}:1: label '12' is none of the three answers")


def test_hub_row() -> None:
    hub = find_task("xcopa").hub
    assert hub is not None
    assert hub.example(ROW, 0) == EXAMPLE


@pytest.mark.parametrize("language", ["swh_Latn", "tam_Taml", "ind_Latn", "que_Latn", "hat_Latn"])
def test_real_counts(real_data: Path, read_split: ReadSplit, language: str) -> None:
    for split, count in (("dev", 100), ("test", 500)):
        examples, skipped = read_split("xcopa", split, language, real_data)
        assert (len(examples), len({example.id for example in examples}), dict(skipped)) == (count, count, {})
