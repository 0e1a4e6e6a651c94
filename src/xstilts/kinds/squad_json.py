"""A question on a context, and SQuAD's JSON form of it, shared by SQuAD, XQuAD, TyDiQA-GoldP and MLQA.

Source of the form: Rajpurkar et al. 2016, 2018 (`is_impossible` marks a question without answer).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import DOWNLOAD_AGAIN, OFFICIAL_FILE, line_of, read_json
from xstilts.kinds.base import Example

Paragraph = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    start: int
    """Offset of `text` in the context, in Unicode code points."""


@dataclass(frozen=True, slots=True)
class SpanExample(Example):
    question: str
    context: str
    answers: tuple[Answer, ...]
    """Several in dev sets; empty where the question cannot be answered."""


def read_paragraphs(path: Path) -> Iterator[tuple[str, Paragraph]]:
    """`(place in the document, paragraph)` in order of the file; a paragraph has a text `context` and a list `qas`."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise UserError.at(path, 1, f"expected a JSON object, found {type(document).__name__}", OFFICIAL_FILE)
    for i, article in enumerate(_get(path, document, "data", list, "top level")):
        for j, paragraph in enumerate(_get(path, article, "paragraphs", list, f"data[{i}]")):
            place = f"data[{i}].paragraphs[{j}]"
            _get(path, paragraph, "context", str, place)
            _get(path, paragraph, "qas", list, place)
            yield place, paragraph


def read_squad_json(path: Path, *, unanswerable: bool = False, check_offsets: bool = True) -> Iterator[SpanExample]:
    """Every question of the file with its answers, none for an impossible one.

    Args:
        path: a document in SQuAD v1.1 or v2.0 form.
        unanswerable: whether questions may be impossible; where all have an answer, one without is an error.
        check_offsets: an answer that does not stand in the context at its offset is an error; without, it is
            yielded as released.

    Raises:
        UserError: the file is not of that form, a question id occurs twice, a question has no answer and is not
            marked impossible, it is impossible and may not be, or an offset is wrong; with the line of the question.
    """
    seen: set[str] = set()
    for place, paragraph in read_paragraphs(path):
        context = paragraph["context"]
        for k, question in enumerate(paragraph["qas"]):
            where = f"{place}.qas[{k}]"
            id_ = _get(path, question, "id", str, where)
            if id_ in seen:
                raise UserError.at(path, _line_of(path, id_), f"question id {id_!r} occurs twice", DOWNLOAD_AGAIN)
            seen.add(id_)
            impossible = question.get("is_impossible", False)
            answers = () if impossible else tuple(_answers(path, question, where))
            if not answers and not impossible:
                raise UserError.at(
                    path, _line_of(path, id_), f"question {id_!r} has no answer", "mark it is_impossible or remove it"
                )
            if impossible and not unanswerable:
                remedy = "remove it, or train and score on it as task 'squad_v2'"
                raise UserError.at(path, _line_of(path, id_), f"question {id_!r} is impossible", remedy)
            if check_offsets:
                for answer in answers:
                    _check_offset(path, id_, context, answer)
            yield SpanExample(id_, _get(path, question, "question", str, where), context, answers)
    if not seen:
        raise UserError.at(path, None, "no questions", OFFICIAL_FILE)


def squad_document(examples: Sequence[SpanExample]) -> dict[str, Any]:
    """What `read_squad_json` reads the examples from, each in a paragraph of its own."""
    return {
        "version": "1.1",
        "data": [
            {
                "title": "",
                "paragraphs": [
                    {
                        "context": example.context,
                        "qas": [
                            {
                                "id": example.id,
                                "question": example.question,
                                "answers": [{"text": a.text, "answer_start": a.start} for a in example.answers],
                                "is_impossible": not example.answers,
                            }
                        ],
                    }
                    for example in examples
                ],
            }
        ],
    }


def _answers(path: Path, question: dict[str, Any], where: str) -> Iterator[Answer]:
    for i, answer in enumerate(_get(path, question, "answers", list, where)):
        place = f"{where}.answers[{i}]"
        yield Answer(_get(path, answer, "text", str, place), _get(path, answer, "answer_start", int, place))


def _check_offset(path: Path, id_: str, context: str, answer: Answer) -> None:
    found = context[answer.start : answer.start + len(answer.text)] if answer.start >= 0 else ""
    if found == answer.text and answer.text:
        return
    position = context.find(answer.text) if answer.text else -1
    raise UserError.at(
        path,
        _line_of(path, id_),
        f"answer {answer.text!r} of question {id_!r} is not at offset {answer.start}, where the context has {found!r}",
        f"set answer_start to {position}" if position >= 0 else "remove it: the context does not contain it",
    )


def _line_of(path: Path, id_: str) -> int | None:
    return line_of(path, f'"{id_}"')


def _get(path: Path, row: Any, key: str, type_: type, place: str) -> Any:
    if not isinstance(row, dict) or key not in row:
        raise UserError.at(path, place, f"no field '{key}'", OFFICIAL_FILE)
    if not isinstance(row[key], type_):
        raise UserError.at(path, place, f"field '{key}' is not of type {type_.__name__}", OFFICIAL_FILE)
    return row[key]
