from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import (
    CHOICE,
    MINING,
    NEAREST,
    PAIR,
    RANKING,
    SPAN,
    TAGGING,
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
from xstilts.xtreme.submission import code_of, path_of, write_labels, write_predictions


def make_task(name: str, kind: Kind[Any], *metrics: str, labels: tuple[str, ...] | None = None) -> Task:
    return Task(name, kind, name.upper(), layouts=(), languages={}, metrics=metrics, labels=labels)


XNLI = make_task("xnli", PAIR, "accuracy", labels=("yes", "no"))
XCOPA = make_task("xcopa", CHOICE, "accuracy")
PANX = make_task("panx", TAGGING, "tag_f1", labels=("O", "B-PER"))
XQUAD = make_task("xquad", SPAN, "squad_f1", "squad_em", "chrf")
TATOEBA = make_task("tatoeba", NEAREST, "top1")
BUCC = make_task("bucc2018", MINING, "mining_f1")
LAREQA = make_task("lareqa", RANKING, "map_at_20")

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
    assert [task.kind.suffix for task in (PANX, TATOEBA, BUCC)] == ["tsv"] * 3


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
    labels = write_labels(tmp_path / "l", task, "swh_Latn", examples)
    items = task.kind.read_items(guess, labels, "swh_Latn", task.labels or ())
    assert items.predictions == predictions
    assert items.references == task.kind.references(examples, "swh_Latn")
    assert items.notes == ()
