from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xstilts.tasks import Answer, SpanExample, find_task

Release = Callable[[str, str | bytes], Path]

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


def test_squad_v1_has_no_impossible_question(release: Release, user_error: Callable[..., str]) -> None:
    path = release("squad_v1/dev-v1.1.json", document(ANSWERABLE, IMPOSSIBLE))
    line = path.read_text().splitlines().index('       "id": "q2",') + 1
    assert user_error("squad_v1", "dev") == f"{path}:{line}: question 'q2' is impossible; use task 'squad_v2'"


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
        assert unanswered == SpanExample("q1", "Where from?", CONTEXT, ())
