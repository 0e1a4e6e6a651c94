"""Own files in every form, and mistakes in them with line and remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xstilts.config.task_file import load_task
from xstilts.core.errors import UserError
from xstilts.kinds import (
    Answer,
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    TextExample,
)

Read = Callable[..., list[Example]]

QUOTED = "'{code}.txt'"
PAIR = "kind: pair\nmetric: accuracy\nlabels: [n, y]\n"
CHOICE = "kind: choice\nmetric: accuracy\n"
SPAN = "kind: span\nmetric: squad_f1\n"
TAGGING = "kind: tagging\nmetric: tag_f1\n"
RETRIEVAL = "kind: retrieval\nmetric: top1\n"
JSON_PAIR = f"{PAIR}form: jsonl\nfields: {{text_a: a, label: l}}\n"
SPAN_FIELDS = "fields: {id: i, context: c, question: q, answer: a, start: s}\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Examples of a task of which this is said, in English, from a file of this content."""

    def examples(said: str, content: str) -> list[Example]:
        (tmp_path / "en.txt").write_text(content, encoding="utf-8")
        path = tmp_path / "task.yaml"
        path.write_text(f"name: own\nlanguages: [en]\nfiles: {{train: {QUOTED}, test: {QUOTED}}}\n{said}")
        layout, source = load_task(path).locate(None, "test", "eng_Latn")
        return list(layout.read(source))

    return examples


@pytest.mark.parametrize(
    ("form", "fields", "content", "first"),
    [
        (
            "tsv",
            "{text_a: a, text_b: b, label: l}",
            "l\ta\tb\ny\tone\ttwo\n",
            PairExample("en.txt-2", "one", "two", "y"),
        ),
        ("tsv", "{text_a: 2, label: -1}", "x\tone\ty\n", PairExample("en.txt-1", "one", None, "y")),
        ("csv", "{text_a: a, label: l, id: i}", 'i,a,l\n7,"o,ne",n\n', PairExample("7", "o,ne", None, "n")),
        ("jsonl", "{text_a: a, label: l}", '{"a": "one", "l": "n"}\n', PairExample("en.txt-1", "one", None, "n")),
    ],
)
def test_pairs(read: Read, form: str, fields: str, content: str, first: PairExample) -> None:
    assert read(f"{PAIR}form: {form}\nfields: {fields}\n", content) == [first]


def test_choices(read: Read) -> None:
    columns = "form: tsv\nfields: {context: c, question: q, options: [x, y], label: l}\n"
    (found,) = read(f"{CHOICE}{columns}labels: [A, B]\n", "c\tq\tx\ty\tl\nText\tWhy?\tso\tnot so\tB\n")
    assert found == ChoiceExample("en.txt-2", "Text", "Why?", ("so", "not so"), 1)
    row = json.dumps({"c": "Text", "o": ["so", "not so", "else"], "l": 2})
    (found,) = read(f"{CHOICE}form: jsonl\nfields: {{options: o, context: c, label: l}}\n", row)
    assert found == ChoiceExample("en.txt-1", "Text", "", ("so", "not so", "else"), 2)


def test_spans(read: Read) -> None:
    expected = SpanExample("1", "Who?", "It was Ada.", (Answer("Ada", 7),))
    assert read(f"{SPAN}form: csv\n{SPAN_FIELDS}", "i,c,q,a,s\n1,It was Ada.,Who?,Ada,7\n") == [expected]
    row = json.dumps({"i": 1, "c": "It was Ada.", "q": "Who?", "a": ["Ada"], "s": [7]})
    assert read(f"{SPAN}form: jsonl\n{SPAN_FIELDS}", row) == [expected]
    question = {"id": "1", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 7}]}
    document = {"data": [{"paragraphs": [{"context": "It was Ada.", "qas": [question]}]}]}
    assert read(f"{SPAN}form: squad\n", json.dumps(document)) == [expected]
    (found,) = read(
        f"kind: span\nmetric: squad2_f1\nunanswerable: true\nform: csv\n{SPAN_FIELDS}", "i,c,q,a,s\n1,It,Who?,,\n"
    )
    assert found == SpanExample("1", "Who?", "It", ())


def test_tags(read: Read) -> None:
    conll = "-DOCSTART- -X- O\n\nAda NNP B-PER\nruns VB O\n\n\nNew York\tNN\tO\n"
    assert read(f"{TAGGING}form: conll\nfields: {{words: 1, tags: -1}}\n", conll) == [
        TaggingExample("en.txt-0", ("Ada", "runs"), ("B-PER", "O")),
        TaggingExample("en.txt-1", ("New York",), ("O",)),
    ]
    rows = '{"w": ["Ada", "runs"], "t": [1, 0]}\n'
    said = f"{TAGGING}form: jsonl\nfields: {{words: w, tags: t}}\nlabels: {{0: O, 1: B-PER}}\n"
    assert read(said, rows) == [TaggingExample("en.txt-1", ("Ada", "runs"), ("B-PER", "O"))]


def test_retrieval_and_text(read: Read) -> None:
    assert read(f"{RETRIEVAL}form: tsv\nfields: {{query: 1, candidate: 2}}\n", "one\tmoja\ntwo\tmbili\n") == [
        RetrievalExample("0", "candidate", "moja"),
        RetrievalExample("1", "candidate", "mbili"),
        RetrievalExample("query-0", "query", "one", relevant=("0",)),
        RetrievalExample("query-1", "query", "two", relevant=("1",)),
    ]
    assert read("kind: mlm\nform: lines\n", "one\n\ntwo\n") == [TextExample("en-1", "one"), TextExample("en-3", "two")]


@pytest.mark.parametrize(
    ("said", "content", "told"),
    [
        (
            f"{PAIR}form: tsv\nfields: {{text_a: txt, label: l}}\n",
            "text\tl\na\ty\n",
            "2: no field 'txt'; did you mean 'text'",
        ),
        (f"{PAIR}form: tsv\nfields: {{text_a: 1, label: 3}}\n", "a\ty\n", "1: 2 columns, none with the number 3; "),
        (f"{PAIR}form: tsv\nfields: {{text_a: 1, label: 2}}\n", "a\tN\n", "1: unknown label 'N'; known: n, y"),
        (JSON_PAIR, '{"a": 1, "l": "y"}', "1: field 'a' has 1 where a text"),
        (JSON_PAIR, '{"a": "1", "l": true}', "1: field 'l' has True where a label"),
        (
            f"{PAIR}form: csv\nfields: {{text_a: a, label: l, id: l}}\n",
            "a,l\no,y\no,y\n",
            "3: id 'y' stands here for the second",
        ),
        (
            f"{CHOICE}form: csv\nfields: {{context: c, options: [x, y], label: l}}\n",
            "c,x,y,l\nt,a,b,2\n",
            "2: label '2' is none of the 2",
        ),
        (
            f"{CHOICE}form: jsonl\nfields: {{context: c, options: o, label: l}}\n",
            '{"c": "", "o": "a", "l": 0}',
            "1: field 'o' is not a list",
        ),
        (
            f"{SPAN}form: csv\n{SPAN_FIELDS}",
            "i,c,q,a,s\n1,It was Ada.,Who?,Ada,6\n",
            "2: answer 'Ada' does not stand at offset 6 of the context; set it to 7",
        ),
        (f"{SPAN}form: csv\n{SPAN_FIELDS}", "i,c,q,a,s\n1,It was Ada.,Who?,,\n", "2: a question without answer; "),
        (f"{TAGGING}form: conll\nfields: {{words: 1, tags: 2}}\n", "Ada\n", "1: 1 columns, none with the number 2; "),
        (f"{TAGGING}form: conll\nfields: {{words: 1, tags: 2}}\n", "\n", " no sentences; give one word"),
        (
            f"{TAGGING}form: jsonl\nfields: {{words: w, tags: t}}\n",
            '{"w": ["a"], "t": []}',
            "1: 1 words and 0 tags; give every word",
        ),
    ],
)
def test_mistakes(read: Read, said: str, content: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read(said, content)
    assert str(error.value).startswith(f"{tmp_path / 'en.txt'}:{told}")
