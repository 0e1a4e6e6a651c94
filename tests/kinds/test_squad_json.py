from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.core.errors import UserError
from xstilts.kinds import Answer, SpanExample
from xstilts.kinds.squad_json import read_paragraphs, read_squad_json

Release = Callable[[str, str | bytes], Path]

CONTEXT = "Nairobi \u2014 \U0001f30d ni mji mkuu wa Kenya."
"""The globe is one code point, two UTF-16 units and four bytes: `Kenya` starts at code point 27."""
QUESTIONS = [
    {
        "id": "q1",
        "question": "Mji mkuu wa Kenya?",
        "answers": [{"text": "Nairobi", "answer_start": 0}, {"text": "mji mkuu", "answer_start": 15}],
    },
    {"id": "q2", "question": "Nchi?", "answers": [{"text": "Kenya", "answer_start": 27}]},
]
DOCUMENT: dict[str, Any] = {
    "version": "1.1",
    "data": [{"title": "Nairobi", "paragraphs": [{"context": CONTEXT, "qas": QUESTIONS}]}],
}


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The document after `change` of its second question."""
    document = copy.deepcopy(DOCUMENT)
    change(document["data"][0]["paragraphs"][0]["qas"][1])
    return document


def write(release: Release, document: object) -> Path:
    return release("squad.json", json.dumps(document, indent=1))


def fails(path: Path) -> str:
    with pytest.raises(UserError) as error:
        list(read_squad_json(path))
    assert "\n" not in str(error.value)
    return str(error.value)


def line_with(path: Path, text: str) -> int:
    return path.read_text().splitlines().index(text) + 1


def test_questions_and_answers(release: Release) -> None:
    assert list(read_squad_json(write(release, DOCUMENT))) == [
        SpanExample("q1", "Mji mkuu wa Kenya?", CONTEXT, (Answer("Nairobi", 0), Answer("mji mkuu", 15))),
        SpanExample("q2", "Nchi?", CONTEXT, (Answer("Kenya", 27),)),
    ]


def test_byte_order_mark_and_crlf(release: Release) -> None:
    path = release("squad.json", b"\xef\xbb\xbf" + json.dumps(DOCUMENT, indent=1).replace("\n", "\r\n").encode())
    assert [example.id for example in read_squad_json(path)] == ["q1", "q2"]


def test_impossible_question_has_no_answer(release: Release) -> None:
    plausible = {"is_impossible": True, "answers": [], "plausible_answers": [{"text": "Kenya", "answer_start": 27}]}
    path = write(release, changed(lambda question: question.update(plausible)))
    assert [len(example.answers) for example in read_squad_json(path, unanswerable=True)] == [2, 0]
    line = line_with(path, '       "id": "q2",')
    assert fails(path).startswith(f"{path}:{line}: question 'q2' is impossible; ")


def test_wrong_offset_names_line_and_remedy(release: Release) -> None:
    path = write(release, changed(lambda question: question["answers"][0].update(answer_start=26)))
    line = line_with(path, '       "id": "q2",')
    assert fails(path) == (
        f"{path}:{line}: answer 'Kenya' of question 'q2' is not at offset 26, where the context has ' Keny'; "
        "set answer_start to 27"
    )
    unchecked = list(read_squad_json(path, check_offsets=False))
    assert unchecked[1].answers == (Answer("Kenya", 26),)


def test_answer_from_nowhere(release: Release) -> None:
    path = write(release, changed(lambda question: question["answers"][0].update(text="Uganda")))
    assert fails(path).endswith("remove it: the context does not contain it")


@pytest.mark.parametrize("start", [-8, 1000])
def test_offset_outside_the_context(release: Release, start: int) -> None:
    path = write(release, changed(lambda question: question["answers"][0].update(answer_start=start)))
    assert "where the context has ''; set answer_start to 27" in fails(path)


def test_no_answer_without_the_mark(release: Release) -> None:
    path = write(release, changed(lambda question: question.update(answers=[])))
    line = line_with(path, '       "id": "q2",')
    assert fails(path).startswith(f"{path}:{line}: question 'q2' has no answer; ")


def test_repeated_id(release: Release) -> None:
    path = write(release, changed(lambda question: question.update(id="q1")))
    assert "question id 'q1' occurs twice" in fails(path)


PLACE = "data[0].paragraphs[0].qas[1]"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda question: question.pop("question"), f"{PLACE}: no field 'question'"),
        (lambda question: question.pop("answers"), f"{PLACE}: no field 'answers'"),
        (lambda question: question.update(id=7), f"{PLACE}: field 'id' is not of type str"),
        (lambda question: question["answers"][0].pop("answer_start"), f"{PLACE}.answers[0]: no field 'answer_start'"),
        (
            lambda question: question["answers"][0].update(answer_start="27"),
            f"{PLACE}.answers[0]: field 'answer_start' is not of type int",
        ),
    ],
)
def test_missing_or_mistyped_field(release: Release, change: Callable[[dict[str, Any]], Any], problem: str) -> None:
    path = write(release, changed(change))
    assert fails(path) == f"{path}: {problem}; check that this is the official file"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], ":1: expected a JSON object, found list"),
        ({"version": "1.1"}, ": top level: no field 'data'"),
        ({"data": [{"title": "t"}]}, ": data[0]: no field 'paragraphs'"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, ": data[0].paragraphs[0]: no field 'context'"),
        ({"data": []}, ": no questions"),
    ],
)
def test_not_a_squad_document(release: Release, document: object, problem: str) -> None:
    path = write(release, document)
    assert fails(path) == f"{path}{problem}; check that this is the official file"


def test_truncated(release: Release) -> None:
    text, _, _ = json.dumps(DOCUMENT, indent=1).partition('"q2"')
    path = release("squad.json", text)
    assert fails(path).startswith(f"{path}:{len(text.splitlines())}: malformed JSON (")


def test_paragraphs_keep_their_other_fields(release: Release) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["data"][0]["paragraphs"][0]["sentence_breaks"] = [[0, 10]]
    ((place, paragraph),) = read_paragraphs(write(release, document))
    assert place == "data[0].paragraphs[0]"
    assert paragraph["sentence_breaks"] == [[0, 10]]


@pytest.mark.parametrize("language", ["en", "es", "hi", "ar", "de"])
def test_real_xquad(real_data: Path, language: str) -> None:
    assert sum(1 for _ in read_squad_json(real_data / "xquad" / f"xquad.{language}.json")) == 1_190


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("english_tydiqa_train", 3_696),
        ("english_tydiqa_dev", 440),
        ("swahili_tydiqa_dev", 499),
        ("arabic_tydiqa_dev", 921),
        ("finnish_tydiqa_dev", 782),
    ],
)
def test_real_tydiqa(real_data: Path, name: str, size: int) -> None:
    assert sum(1 for _ in read_squad_json(real_data / "tydiqa_goldp" / f"{name}.json")) == size
