from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from xstilts.core.errors import UserError
from xstilts.evaluation.metrics.qa import QaGold
from xstilts.evaluation.references import golds
from xstilts.kinds.example import (
    Answer,
    ChoiceExample,
    Example,
    Kind,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
)
from xstilts.tasks.registry import Task
from xstilts.xtreme.submission import Form, code_of, form_of, path_of, write_labels, write_predictions
from xstilts.xtreme.submission_reading import pairs_by_source, read_items


def make_task(name: str, kind: Kind, *metrics: str, labels: tuple[str, ...] | None = None) -> Task:
    return Task(name, kind, name.upper(), layouts=(), languages={}, metrics=metrics, labels=labels)


XNLI = make_task("xnli", Kind.PAIR, "accuracy", labels=("yes", "no"))
XCOPA = make_task("xcopa", Kind.CHOICE, "accuracy")
PANX = make_task("panx", Kind.TAGGING, "tag_f1", labels=("O", "B-PER"))
XQUAD = make_task("xquad", Kind.SPAN, "squad_f1", "squad_em", "chrf")
TATOEBA = make_task("tatoeba", Kind.RETRIEVAL, "top1")
BUCC = make_task("bucc2018", Kind.RETRIEVAL, "mining_f1")
LAREQA = make_task("lareqa", Kind.RETRIEVAL, "map_at_20")

PAIRS = [PairExample("1", "a", "b", "yes"), PairExample("2", "c", "d", "no")]
CHOICES = [ChoiceExample("7", "c", "q", ("x", "y"), 1), ChoiceExample("8", "c", "q", ("x", "y"), 0)]
TAGGED = [TaggingExample("1", ("Ada", "aenda"), ("B-PER", "O")), TaggingExample("2", ("La",), ("O",))]
SPANS = [
    SpanExample("q1", "Wapi?", "Ni Dar\u2028es Salaam.", (Answer("Dar", 3), Answer("Dar\u2028es Salaam", 3))),
    SpanExample("q2", "Nani?", "Ada.", (Answer("Ada", 0),)),
]
# The queries' texts sort as q2, q0, q1.
RETRIEVAL = [
    RetrievalExample("q0", "query", "Milk.", relevant=("c0",)),
    RetrievalExample("q1", "query", "Zebra.", relevant=("c1",)),
    RetrievalExample("q2", "query", " Apple.", relevant=("c2",)),
    RetrievalExample("c0", "candidate", "Maziwa."),
    RetrievalExample("c1", "candidate", "Punda milia."),
    RetrievalExample("c2", "candidate", "Tofaa."),
]


def test_names_of_files() -> None:
    assert path_of(Path("p"), XNLI, "swh_Latn") == Path("p/xnli/test-sw.tsv")
    assert path_of(Path("p"), XCOPA, "que_Latn") == Path("p/xcopa/test-qu.jsonl")
    assert path_of(Path("p"), XQUAD, "zho_Hans", "dev") == Path("p/xquad/dev-zh.json")
    assert path_of(Path("p"), LAREQA, "arb_Arab") == Path("p/lareqa/test-ar.json")
    assert code_of("pcm_Latn") == "pcm"
    assert code_of("qaa_Latn") == "qaa"
    assert [form_of(task) for task in (PANX, TATOEBA, BUCC)] == [Form.TAGS, Form.INDICES, Form.PAIRS]


def _written(tmp_path: Path, task: Task, examples: Sequence[Example], predictions: Sequence[Any]) -> str:
    return write_predictions(tmp_path, task, "swh_Latn", examples, predictions).read_text(encoding="utf-8")


def test_written_forms(tmp_path: Path) -> None:
    assert _written(tmp_path, XNLI, PAIRS, ["no", "yes"]) == "no\nyes\n"
    assert _written(tmp_path, PANX, TAGGED, [("O", "B-PER"), ("O",)]) == "O\nB-PER\n\nO\n\n"
    assert _written(tmp_path, XCOPA, CHOICES, [0, 1]) == '{"id": "7", "label": 0}\n{"id": "8", "label": 1}\n'
    assert json.loads(_written(tmp_path, XQUAD, SPANS, ["Dar", ""])) == {"q1": "Dar", "q2": ""}
    assert _written(tmp_path, BUCC, RETRIEVAL, [("c1",), (), ("c2", "c0")]) == "q0\tc1\nq2\tc2\nq2\tc0\n"
    ranked = [("c0", "c1"), ("c2", "c1"), ("c1", "c0")]
    assert json.loads(_written(tmp_path, LAREQA, RETRIEVAL, ranked)) == {
        "q0": ["c0", "c1"],
        "q1": ["c2", "c1"],
        "q2": ["c1", "c0"],
    }


def test_tatoeba_queries_are_sorted_by_text(tmp_path: Path) -> None:
    # Apple -> c1, Milk -> c0, Zebra -> c2.
    assert _written(tmp_path, TATOEBA, RETRIEVAL, [("c0", "c1"), ("c2", "c1"), ("c1", "c0")]) == "1\n0\n2\n"
    labels = write_labels(tmp_path / "labels", TATOEBA, "swh_Latn", RETRIEVAL)
    assert labels.read_text() == "2\n0\n1\n"


@pytest.mark.parametrize(
    ("task", "examples", "predictions"),
    [
        (XNLI, PAIRS, ["no", "no"]),
        (XCOPA, CHOICES, [1, 1]),
        (PANX, TAGGED, [("O", "O"), ("B-PER",)]),
        (XQUAD, SPANS, ["Dar\u2028es", ""]),
        (LAREQA, RETRIEVAL, [("c0", "c1"), ("c2", "c1"), ()]),
    ],
    ids=lambda value: value.name if isinstance(value, Task) else "",
)
def test_what_is_written_is_read(tmp_path: Path, task: Task, examples: list[Example], predictions: list[Any]) -> None:
    guess = write_predictions(tmp_path / "p", task, "swh_Latn", examples, predictions)
    gold = write_labels(tmp_path / "l", task, "swh_Latn", examples)
    items = read_items(form_of(task), guess, gold, "swh_Latn", task.labels or ())
    assert items.predictions == predictions
    assert items.golds == golds(examples, "swh_Latn")
    assert items.notes == ()


def test_golds_of_answers_keep_the_language() -> None:
    assert golds(SPANS, "swh_Latn")[1] == QaGold(("Ada",), "swh_Latn")


def test_pairs_are_grouped_by_source() -> None:
    gold = [("s2", "t2"), ("s1", "t1"), ("s1", "t1")]
    assert pairs_by_source(gold, [("s3", "t9"), ("s1", "t4"), ("s1", "t1")]) == (
        [("t1",), ("t2",), ()],
        [("t1", "t4"), (), ("t9",)],
    )


def _read(tmp_path: Path, form: Form, guess: str | bytes, gold: str | bytes, **options: Any) -> Any:
    files = []
    for name, content in (("guess", guess), ("gold", gold)):
        files.append(tmp_path / name)
        files[-1].write_bytes(content.encode() if isinstance(content, str) else content)
    return read_items(form, *files, "swh_Latn", **options)


def test_windows_lines_and_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    items = _read(tmp_path, Form.TAGS, b"\xef\xbb\xbfO\r\nB-PER\r\n\r\nO", "O\nO\n\nO\n\n")
    assert items.predictions == [("O", "B-PER"), ("O",)]


def test_unanswered_and_unknown_ids_are_said(tmp_path: Path) -> None:
    gold = json.dumps({"a": ["x"], "b": ["y"]})
    items = _read(tmp_path, Form.RANKINGS, json.dumps({"b": ["y"], "z": []}), gold)
    assert items.golds == [("x",), ("y",)]
    assert items.predictions == [None, ("y",)]
    assert [note.partition(": ")[2] for note in items.notes] == [
        "no prediction for 1 of 2 items, which score 0",
        "1 predictions for ids that the labels do not have, such as 'z'",
    ]


def test_strange_labels_are_said(tmp_path: Path) -> None:
    items = _read(tmp_path, Form.LABELS, "no\nentail\n", "yes\nyes\n", vocabulary=("yes", "no"))
    assert "such as 'entail'" in items.notes[0]
    assert "such as 'B-X'" in _read(tmp_path, Form.TAGS, "B-X\n", "O\n").notes[0]


ARTICLE = {"data": [{"paragraphs": [{"context": "c", "qas": [{"id": "q", "question": "?", "answers": []}]}]}]}


@pytest.mark.parametrize(
    ("form", "guess", "gold", "message"),
    [
        (Form.LABELS, "a\nb\n", "a\n", r"guess: 2 labels where .*gold has 1; write one per test item"),
        (Form.LABELS, "a\n\nb\n", "a\nb\n", r"guess:2: blank line"),
        (Form.LABELS, "", "a\n", r"guess: the file is empty"),
        (Form.LABELS, b"a\n\xff\n", "a\nb\n", r"guess:2: not UTF-8"),
        (Form.TAGS, "O\n\nO\n", "O\n", r"guess: 2 sentences where .*gold has 1"),
        (Form.TAGS, "O\n\nO\nO\n", "O\n\nO\n", r"guess:3: sentence 2 has 2 tags where .*gold:3 has 1"),
        (Form.TAGS, "Ada B-PER\n", "O\n", r"guess:1: 'Ada B-PER' is not one tag"),
        (Form.INDICES, "1\nx\n", "1\n2\n", r"guess:2: 'x' is not an index"),
        (Form.INDICES, "-1\n", "1\n", r"guess:1: '-1' is not an index"),
        (Form.PAIRS, "a\tb\nc\n", "a\tb\n", r"guess:2: 1 columns where a pair"),
        (Form.CHOICES, '{"label": 1}\n{"lab\n', '{"label": 1}\n', r"guess:2: malformed JSON"),
        (Form.CHOICES, '{"label": "1"}\n', '{"label": 1}\n', r"guess:1: label '1' is not a number"),
        (Form.CHOICES, '{"id": 1}\n', '{"label": 1}\n', r"guess:1: no field 'label'"),
        (Form.RANKINGS, "[]", '{"a": ["x"]}', r"guess: expected a JSON object, found list"),
        (Form.RANKINGS, '{"a": "x"}', '{"a": ["x"]}', r"guess: 'a' has 'x' where a list of ids"),
        (Form.ANSWERS, '{"q": ["x"]}', SPANS, r"guess: 'q' has \['x'\] where a string"),
        (Form.ANSWERS, '{"q": "x"', SPANS, r"guess:1: malformed JSON"),
        (Form.ANSWERS, "{}", json.dumps(ARTICLE), r"gold.*question 'q' has no answer"),
    ],
)
def test_broken_files_are_one_line_errors(tmp_path: Path, form: Form, guess: Any, gold: Any, message: str) -> None:
    if gold is SPANS:
        gold = write_labels(tmp_path, XQUAD, "swh_Latn", SPANS).read_bytes()
    with pytest.raises(UserError, match=message) as error:
        _read(tmp_path, form, guess, gold)
    assert "\n" not in str(error.value)
