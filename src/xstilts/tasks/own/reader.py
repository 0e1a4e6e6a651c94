"""From rows to the examples of a kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.errors import did_you_mean
from xstilts.kinds import (
    Answer,
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
)
from xstilts.kinds.squad_json import read_squad_json
from xstilts.tasks.datasets import text
from xstilts.tasks.own.rows import Column, Row, read_rows, read_sentences
from xstilts.tasks.registry import Source

Columns = Column | tuple[Column, ...]


@dataclass(frozen=True)
class OwnReader:
    """Reads the files of one task. An object rather than a function, so that it can be sent to worker processes."""

    kind: str
    """`pair`, `choice`, `span`, `tagging`, `retrieval` or `mlm`."""
    form: str
    """`tsv`, `csv`, `jsonl`, `conll`, `squad` or `lines`."""
    fields: Mapping[str, Columns]
    """Part of an example -> the column or columns that hold it."""
    labels: Mapping[str, str]
    """Label as it is written -> label; empty: whatever is written."""
    unanswerable: bool = False
    """Whether a question may have no answer."""

    def __call__(self, source: Source) -> Iterator[Example]:
        if self.form == "lines":
            yield from text.read(source)
        elif self.form == "squad":
            for path in source.files:
                yield from read_squad_json(path, unanswerable=self.unanswerable)
        elif self.form == "conll":
            for path in source.files:
                for index, words in enumerate(read_sentences(path)):
                    yield self._sentence(f"{path.name}-{index}", words)
        elif self.kind == "retrieval":
            yield from self._retrieval(source)
        else:
            yield from self._with_ids(source)

    def _rows(self, path: Path) -> Iterator[Row]:
        first = next(iter(self.fields.values()))
        numbered = isinstance(first[0] if isinstance(first, tuple) else first, int)
        return read_rows(path, self.form, numbered=numbered)

    def _with_ids(self, source: Source) -> Iterator[Example]:
        make = {"pair": self._pair, "choice": self._choice, "span": self._span, "tagging": self._tagged}[self.kind]
        seen: set[str] = set()
        for path in source.files:
            for row in self._rows(path):
                id_ = row.label(self._one("id")) if "id" in self.fields else f"{path.name}-{row.line}"
                if id_ in seen:
                    raise row.error(f"id '{id_}' stands here for the second time", "give every example its own")
                seen.add(id_)
                yield make(id_, row)

    def _one(self, part: str) -> Column:
        column = self.fields[part]
        assert not isinstance(column, tuple)
        return column

    def _pair(self, id_: str, row: Row) -> PairExample:
        second = row.text(self._one("text_b")) if "text_b" in self.fields else None
        return PairExample(id_, row.text(self._one("text_a")), second, self._label(row, row.label(self._one("label"))))

    def _choice(self, id_: str, row: Row) -> ChoiceExample:
        columns = self.fields["options"]
        options = tuple(map(row.text, columns)) if isinstance(columns, tuple) else row.texts(columns)
        if len(options) < 2:
            raise row.error(f"{len(options)} options", "give two or more")
        names = list(self.labels) or [str(number) for number in range(len(options))]
        written = row.label(self._one("label"))
        if written not in names[: len(options)]:
            raise row.error(f"label '{written}' is none of the {len(options)} options", did_you_mean(written, names))
        question = row.text(self._one("question")) if "question" in self.fields else ""
        return ChoiceExample(id_, row.text(self._one("context")), question, options, names.index(written))

    def _span(self, id_: str, row: Row) -> SpanExample:
        context, question = row.text(self._one("context")), row.text(self._one("question"))
        found, offsets = row.cell(self._one("answer")), row.cell(self._one("start"))
        texts = row.texts(self._one("answer")) if isinstance(found, list) else (row.text(self._one("answer")),)
        starts = offsets if isinstance(offsets, list) else [offsets]
        if texts == ("",):
            texts, starts = (), []
        if len(texts) != len(starts):
            raise row.error(f"{len(texts)} answers and {len(starts)} offsets", "give every answer its offset")
        if not texts and not self.unanswerable:
            raise row.error("a question without answer", "remove it, or set unanswerable: true in the task")
        answers = [_answer(row, context, *pair) for pair in zip(texts, starts, strict=True)]
        return SpanExample(id_, question, context, tuple(answers))

    def _tagged(self, id_: str, row: Row) -> TaggingExample:
        words, tags = row.texts(self._one("words")), row.labels(self._one("tags"))
        if len(words) != len(tags) or not words:
            raise row.error(f"{len(words)} words and {len(tags)} tags", "give every word one tag")
        return TaggingExample(id_, words, tuple(self._label(row, tag) for tag in tags))

    def _sentence(self, id_: str, words: list[Row]) -> TaggingExample:
        word, tag = self._one("words"), self._one("tags")
        return TaggingExample(
            id_,
            tuple(row.text(word) for row in words),
            tuple(self._label(row, row.label(tag)) for row in words),
        )

    def _retrieval(self, source: Source) -> Iterator[RetrievalExample]:
        """Candidates, then queries; right is the candidate of the same row alone."""
        rows = [row for path in source.files for row in self._rows(path)]
        for index, row in enumerate(rows):
            yield RetrievalExample(str(index), "candidate", row.text(self._one("candidate")))
        for index, row in enumerate(rows):
            yield RetrievalExample(f"query-{index}", "query", row.text(self._one("query")), relevant=(str(index),))

    def _label(self, row: Row, written: str) -> str:
        if not self.labels:
            return written
        if written not in self.labels:
            raise row.error(f"unknown label '{written}'", did_you_mean(written, self.labels))
        return self.labels[written]


def _answer(row: Row, context: str, answer: str, start: object) -> Answer:
    try:
        offset = int(str(start))
    except ValueError:
        raise row.error(f"offset {start!r} is not a whole number", "count characters of the context from 0") from None
    if offset >= 0 and answer and context[offset : offset + len(answer)] == answer:
        return Answer(answer, offset)
    position = context.find(answer) if answer else -1
    remedy = f"set it to {position}" if position >= 0 else "remove it: the context does not contain it"
    raise row.error(f"answer {answer!r} does not stand at offset {offset} of the context", remedy)
