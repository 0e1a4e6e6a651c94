"""The forms of files in XTREME's submission layout (Hu et al. 2020): what several kinds write and read alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import read_json, read_lines


@dataclass(frozen=True)
class Items:
    """What metrics compare, item by item."""

    references: Sequence[Any]
    predictions: Sequence[Any]
    """None where the file has no prediction for the item: it scores 0, as in the official scripts."""
    notes: tuple[str, ...] = ()
    """What the user should know about the files without it being an error."""


@dataclass
class Lines:
    """Items of a file in which the order of lines says what belongs together, and the line of each."""

    path: Path
    items: list[Any] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def add(self, number: int, item: Any) -> None:
        self.items.append(item)
        self.numbers.append(number)

    def not_empty(self) -> Lines:
        """The same; an error if there is nothing in it."""
        if not self.items:
            raise UserError.at(self.path, None, "the file is empty", "write the predictions or labels of the test set")
        return self


def in_order(predictions: Lines, labels: Lines, unit: str) -> Items:
    """The items of both files, which hold as many; `unit` names them in the error."""
    if len(predictions.items) != len(labels.items):
        counts = f"{len(predictions.items)} {unit} where {labels.path} has {len(labels.items)}"
        raise UserError.at(predictions.path, None, counts, "write one per test item, in the order of the test set")
    return Items(labels.items, predictions.items)


def by_id(references: Mapping[str, Any], predictions: Mapping[str, Any], path: Path) -> Items:
    """The items of the references; `path` is the file of the predictions, to be named in notes."""
    notes = []
    if unanswered := references.keys() - predictions.keys():
        notes.append(f"{path}: no prediction for {len(unanswered)} of {len(references)} items, which score 0")
    if unknown := predictions.keys() - references.keys():
        notes.append(
            f"{path}: {len(unknown)} predictions for ids that the labels do not have, such as '{min(unknown)}'"
        )
    return Items(list(references.values()), [predictions.get(id_) for id_ in references], tuple(notes))


def note_unknown(
    path: Path, references: Iterable[str], predictions: Iterable[str], vocabulary: Collection[str]
) -> tuple[str, ...]:
    """A note on predicted labels that nothing else knows."""
    strange = set(predictions) - set(references) - set(vocabulary)
    if not strange:
        return ()
    return (f"{path}: labels that neither the task nor the labels file has, such as '{min(strange)}'",)


def read_labels(path: Path) -> Lines:
    """One label per line."""
    lines = Lines(path)
    for number, line in read_lines(path):
        if not (label := line.strip()):
            raise UserError.at(
                path, number, "blank line where a label was expected", "write one label per line, and no more"
            )
        lines.add(number, label)
    return lines.not_empty()


def read_mapping(path: Path, type_: type) -> dict[str, Any]:
    """A JSON object of item id -> `str` or `list` of `str`."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise UserError.at(
            path, None, f"expected a JSON object, found {type(document).__name__}", "write an object of id: prediction"
        )
    for id_, value in document.items():
        if not isinstance(value, type_) or (isinstance(value, list) and not all(isinstance(x, str) for x in value)):
            expected = "a string" if type_ is str else "a list of ids"
            raise UserError.at(
                path, None, f"'{id_}' has {value!r:.40} where {expected} was expected", "correct the prediction"
            )
    return document


def as_document(content: Mapping[str, Any]) -> str:
    """One JSON object as a file."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def as_lines(rows: Iterable[object]) -> str:
    """One row per line."""
    return "".join(f"{row}\n" for row in rows)
