"""Files in XTREME's submission layout: what they hold, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from xstilts.core.errors import UserError
from xstilts.kinds import CHOICE, MINING, NEAREST, PAIR, RANKING, SPAN, TAGGING, Answer, Kind, SpanExample
from xstilts.kinds.mining import pairs_by_source
from xstilts.kinds.span import AnswerReference

SPANS = [
    SpanExample("q1", "Wapi?", "Ni Dar\u2028es Salaam.", (Answer("Dar", 3), Answer("Dar\u2028es Salaam", 3))),
    SpanExample("q2", "Nani?", "Ada.", (Answer("Ada", 0),)),
]


def test_references_of_answers_keep_the_language() -> None:
    assert SPAN.references(SPANS, "swh_Latn")[1] == AnswerReference(("Ada",), "swh_Latn")


def test_pairs_are_grouped_by_source() -> None:
    right = [("s2", "t2"), ("s1", "t1"), ("s1", "t1")]
    assert pairs_by_source(right, [("s3", "t9"), ("s1", "t4"), ("s1", "t1")]) == (
        [("t1",), ("t2",), ()],
        [("t1", "t4"), (), ("t9",)],
    )


def _read(
    tmp_path: Path, kind: Kind[Any], guess: str | bytes, right: str | bytes, vocabulary: Sequence[str] = ()
) -> Any:
    files = []
    for name, content in (("guess", guess), ("right", right)):
        files.append(tmp_path / name)
        files[-1].write_bytes(content.encode() if isinstance(content, str) else content)
    return kind.read_items(*files, "swh_Latn", vocabulary)


def test_windows_lines_and_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    items = _read(tmp_path, TAGGING, b"\xef\xbb\xbfO\r\nB-PER\r\n\r\nO", "O\nO\n\nO\n\n")
    assert items.predictions == [("O", "B-PER"), ("O",)]


def test_unanswered_and_unknown_ids_are_said(tmp_path: Path) -> None:
    right = json.dumps({"a": ["x"], "b": ["y"]})
    items = _read(tmp_path, RANKING, json.dumps({"b": ["y"], "z": []}), right)
    assert items.references == [("x",), ("y",)]
    assert items.predictions == [None, ("y",)]
    assert [note.partition(": ")[2] for note in items.notes] == [
        "no prediction for 1 of 2 items, which score 0",
        "1 predictions for ids that the labels do not have, such as 'z'",
    ]


def test_strange_labels_are_said(tmp_path: Path) -> None:
    items = _read(tmp_path, PAIR, "no\nentail\n", "yes\nyes\n", vocabulary=("yes", "no"))
    assert "such as 'entail'" in items.notes[0]
    assert "such as 'B-X'" in _read(tmp_path, TAGGING, "B-X\n", "O\n").notes[0]


ARTICLE = {"data": [{"paragraphs": [{"context": "c", "qas": [{"id": "q", "question": "?", "answers": []}]}]}]}


@pytest.mark.parametrize(
    ("kind", "guess", "right", "message"),
    [
        (PAIR, "a\nb\n", "a\n", r"guess: 2 labels where .*right has 1; write one per test item"),
        (PAIR, "a\n\nb\n", "a\nb\n", r"guess:2: blank line"),
        (PAIR, "", "a\n", r"guess: the file is empty"),
        (PAIR, b"a\n\xff\n", "a\nb\n", r"guess:2: not UTF-8"),
        (TAGGING, "O\n\nO\n", "O\n", r"guess: 2 sentences where .*right has 1"),
        (TAGGING, "O\n\nO\nO\n", "O\n\nO\n", r"guess:3: sentence 2 has 2 tags where .*right:3 has 1"),
        (TAGGING, "Ada B-PER\n", "O\n", r"guess:1: 'Ada B-PER' is not one tag"),
        (NEAREST, "1\nx\n", "1\n2\n", r"guess:2: 'x' is not an index"),
        (NEAREST, "-1\n", "1\n", r"guess:1: '-1' is not an index"),
        (MINING, "a\tb\nc\n", "a\tb\n", r"guess:2: 1 columns where a pair"),
        (CHOICE, '{"label": 1}\n{"lab\n', '{"label": 1}\n', r"guess:2: malformed JSON"),
        (CHOICE, '{"label": "1"}\n', '{"label": 1}\n', r"guess:1: label '1' is not a number"),
        (CHOICE, '{"id": 1}\n', '{"label": 1}\n', r"guess:1: no field 'label'"),
        (RANKING, "[]", '{"a": ["x"]}', r"guess: expected a JSON object, found list"),
        (RANKING, '{"a": "x"}', '{"a": ["x"]}', r"guess: 'a' has 'x' where a list of ids"),
        (SPAN, '{"q": ["x"]}', SPANS, r"guess: 'q' has \['x'\] where a string"),
        (SPAN, '{"q": "x"', SPANS, r"guess:1: malformed JSON"),
        (SPAN, "{}", json.dumps(ARTICLE), r"right.*question 'q' has no answer"),
    ],
)
def test_broken_files_are_one_line_errors(
    tmp_path: Path, kind: Kind[Any], guess: Any, right: Any, message: str
) -> None:
    if right is SPANS:
        right = SPAN.write_labels(SPANS, [])
    with pytest.raises(UserError, match=message) as error:
        _read(tmp_path, kind, guess, right)
    assert "\n" not in str(error.value)
