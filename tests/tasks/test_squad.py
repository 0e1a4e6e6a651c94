from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import Answer, SpanExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]
ReadSplit = Callable[..., tuple[list[Any], Any]]

CONTEXT = "The Normans came from Normandy."


def document(*questions: dict[str, Any]) -> str:
    paragraph = {"context": CONTEXT, "qas": list(questions)}
    return json.dumps({"version": "v2.0", "data": [{"title": "Normans", "paragraphs": [paragraph]}]}, indent=1)


ANSWERABLE = {
    "id": "q1",
    "question": "Where from?",
    "answers": [{"text": "Normandy", "answer_start": 22}],
    "is_impossible": False,
}
IMPOSSIBLE = {"id": "q2", "question": "When?", "answers": [], "is_impossible": True, "plausible_answers": []}


def test_squad_v1(release: Release, read_split: Callable[..., Any]) -> None:
    release("squad_v1/dev-v1.1.json", document(ANSWERABLE))
    assert read_split("squad_v1", "dev")[0] == [SpanExample("q1", "Where from?", CONTEXT, (Answer("Normandy", 22),))]


def test_squad_v2(release: Release, read_split: Callable[..., Any]) -> None:
    release("squad_v2/train-v2.0.json", document(ANSWERABLE, IMPOSSIBLE))
    examples, _ = read_split("squad_v2", "train")
    assert [example.answers for example in examples] == [(Answer("Normandy", 22),), ()]


def test_squad_v1_is_the_part_of_v2_that_has_answers(release: Release, read_split: ReadSplit) -> None:
    release("squad_v1/dev-v1.1.json", document(ANSWERABLE, IMPOSSIBLE))
    examples, skipped = read_split("squad_v1", "dev")
    assert [example.id for example in examples] == ["q1"]
    assert skipped == {"impossible question of SQuAD v2.0": 1}


@pytest.mark.parametrize(
    ("task", "split", "language", "file"),
    [
        ("xquad", "test", "deu_Latn", "xquad/xquad.de.json"),
        ("mlqa", "test", "deu_Latn", "mlqa/test/test-context-de-question-de.json"),
        ("tydiqa", "dev", "eng_Latn", "tydiqa_goldp/english_tydiqa_dev.json"),
    ],
)
def test_impossible_question_where_all_have_answers(
    release: Release, user_error: Callable[..., str], task: str, split: str, language: str, file: str
) -> None:
    path = release(file, document(ANSWERABLE, IMPOSSIBLE))
    line = path.read_text().splitlines().index('       "id": "q2",') + 1
    message = user_error(task, split, language)
    assert message.startswith(f"{path}:{line}: question 'q2' is impossible; remove it")


def test_wrong_offset(release: Release, user_error: Callable[..., str]) -> None:
    path = release(
        "squad_v2/dev-v2.0.json", document({**ANSWERABLE, "answers": [{"text": "Normandy", "answer_start": 4}]})
    )
    assert user_error("squad_v2", "dev") == (
        f"{path}:11: answer 'Normandy' of question 'q1' is not at offset 4, where the context has 'Normans '; "
        "set answer_start to 22"
    )


def test_hub_rows() -> None:
    row = {"id": "q1", "title": "Normans", "context": CONTEXT, "question": "Where from?"}
    for name in ("squad_v1", "squad_v2"):
        hub = find_task(name).hub
        assert hub is not None
        answered = hub.example({**row, "answers": {"text": ["Normandy"], "answer_start": [22]}}, 0)
        assert answered == SpanExample("q1", "Where from?", CONTEXT, (Answer("Normandy", 22),))
        unanswered = hub.example({**row, "answers": {"text": [], "answer_start": []}}, 0)
        assert unanswered == (SpanExample("q1", "Where from?", CONTEXT, ()) if name == "squad_v2" else None)
