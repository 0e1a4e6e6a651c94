from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xstilts.kinds import ChoiceExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]

HEADER = "id,context,question,answer0,answer1,answer2,answer3,label\n"
ROW = '3BFF##q1,"It rained , so I said ""no"" .",Why ?,Rain .,Sun .,"Snow , maybe .",None of the above choices .,0\n'
EXAMPLE = ChoiceExample(
    "3BFF##q1",
    'It rained , so I said "no" .',
    "Why ?",
    ("Rain .", "Sun .", "Snow , maybe .", "None of the above choices ."),
    0,
)


def test_answers(release: Release, read_split: Callable[..., Any]) -> None:
    release("cosmos_qa/valid.csv", (HEADER + ROW).replace("\n", "\r\n"))
    assert read_split("cosmos_qa", "dev")[0] == [EXAMPLE]


def test_unknown_label(release: Release, user_error: Callable[..., str]) -> None:
    path = release("cosmos_qa/train.csv", HEADER + ROW + ROW.replace(",0\n", ",4\n"))
    assert user_error("cosmos_qa", "train") == f"{path}:3: unknown label '4'; known: 0, 1, 2, 3"


def test_truncated(release: Release, user_error: Callable[..., str]) -> None:
    path = release("cosmos_qa/train.csv", HEADER + ROW + '3BFF##q2,"It rai')
    assert user_error("cosmos_qa", "train").startswith(f"{path}:3: malformed CSV (unexpected end of data); ")
    path = release("cosmos_qa/train.csv", HEADER + ROW + '3BFF##q2,"It rained",Why')
    assert user_error("cosmos_qa", "train").startswith(f"{path}:3: row does not have the header's 8 columns; ")


def test_hub_row() -> None:
    hub = find_task("cosmos_qa").hub
    assert hub is not None
    answers = {f"answer{i}": text for i, text in enumerate(EXAMPLE.options)}
    row = {"id": EXAMPLE.id, "context": EXAMPLE.context, "question": "Why ?", **answers, "label": 0}
    assert hub.example(row, 0) == EXAMPLE


def test_real_release(real_data: Path, read_split: Callable[..., Any]) -> None:
    examples, skipped = read_split("cosmos_qa", "dev", root=real_data)
    assert len(examples) == len({example.id for example in examples}) == 2_985
    assert not skipped
    assert examples[-1].options == ("Happy", "Pensive", "Observant", "None of the above choices .")
    assert examples[-1].label == 0
