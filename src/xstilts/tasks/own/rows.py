"""Rows of TSV, CSV and JSON lines, and sentences of CoNLL-like columns, by the names or numbers of their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError, did_you_mean
from xstilts.core.reading import read_csv, read_jsonl, read_lines, read_tsv, read_tsv_table

Column = int | str
"""A name in the header or of a JSON field; or a number, from 1, or from -1 for the last."""

_DOCUMENT_START = "-DOCSTART-"


@dataclass(frozen=True)
class Row:
    """One row of a file."""

    path: Path
    line: int
    cells: Mapping[Any, Any]
    """Column -> what stands in it."""

    def cell(self, column: Column) -> Any:
        """What stands in a column; an error where the row has none such."""
        if column in self.cells:
            return self.cells[column]
        if isinstance(column, int):
            width = sum(isinstance(name, int) and name > 0 for name in self.cells)
            raise self.error(f"{width} columns, none with the number {column}", "correct the line or the task's fields")
        raise self.error(f"no field '{column}'", did_you_mean(column, map(str, self.cells)))

    def text(self, column: Column) -> str:
        return self._as_text(column, self.cell(column))

    def texts(self, column: Column) -> tuple[str, ...]:
        """The texts of a JSON list."""
        found = self.cell(column)
        if not isinstance(found, list):
            raise self.error(f"field '{column}' is not a list", "give a list of texts")
        return tuple(self._as_text(column, value) for value in found)

    def label(self, column: Column) -> str:
        """A label as it is written; JSON may write it as a whole number."""
        return self._as_label(column, self.cell(column))

    def labels(self, column: Column) -> tuple[str, ...]:
        found = self.cell(column)
        if not isinstance(found, list):
            raise self.error(f"field '{column}' is not a list", "give a list of labels")
        return tuple(self._as_label(column, value) for value in found)

    def error(self, problem: str, remedy: str) -> UserError:
        return UserError.at(self.path, self.line, problem, remedy)

    def _as_text(self, column: Column, value: object) -> str:
        if not isinstance(value, str):
            raise self.error(f"field '{column}' has {value!r:.40} where a text was expected", "write it as a text")
        return value

    def _as_label(self, column: Column, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self.error(f"field '{column}' has {value!r:.40} where a label was expected", "write it as a text")
        return str(value).strip()


def read_rows(path: Path, form: str, *, numbered: bool) -> Iterator[Row]:
    """The rows of a file.

    Args:
        path: the file.
        form: `tsv`, `csv` or `jsonl`.
        numbered: columns go by number and the file, a TSV, has no header.
    """
    if form == "jsonl":
        yield from (Row(path, line, fields) for line, fields in read_jsonl(path))
    elif form == "csv":
        yield from (Row(path, line, dict(cells)) for line, cells in read_csv(path))
    elif numbered:
        yield from (Row(path, line, _numbered(cells)) for line, cells in read_tsv(path))
    else:
        yield from (Row(path, line, dict(cells)) for line, cells in read_tsv_table(path, ()))


def read_sentences(path: Path) -> Iterator[list[Row]]:
    """The words of each sentence: one on a line, columns between tabs or, in a line without one, white space, a blank
    line between sentences. Lines with `-DOCSTART-` are passed over."""
    words: list[Row] = []
    empty = True
    for number, line in read_lines(path):
        if line.strip() and not line.startswith(_DOCUMENT_START):
            words.append(Row(path, number, _numbered(line.split("\t") if "\t" in line else line.split())))
        elif words:
            yield words
            words, empty = [], False
    if words:
        yield words
    elif empty:
        raise UserError.at(path, None, "no sentences", "give one word and its tag per line")


def _numbered(cells: list[str]) -> dict[Column, Any]:
    return {**dict(enumerate(cells, start=1)), **dict(enumerate(cells, start=-len(cells)))}
