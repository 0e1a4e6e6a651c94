"""What a task file may say of each kind: the forms of its files, and what they have to hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from xstilts.core.errors import did_you_mean
from xstilts.kinds import CHOICE, MLM, NEAREST, PAIR, SPAN, SPAN_OR_NONE, TAGGING, Kind
from xstilts.tasks import find_task

_TABLE = ("tsv", "csv", "jsonl")


class OwnKind(NamedTuple):
    """A kind as task files name it."""

    kind: Kind[Any]
    forms: tuple[str, ...]
    needed: tuple[str, ...] = ()
    """Parts of an example that a file must hold, where its form leaves that open."""
    allowed: tuple[str, ...] = ()
    max_length: int = 256


KINDS: Mapping[str, OwnKind] = {
    "pair": OwnKind(PAIR, _TABLE, ("text_a", "label"), ("text_b", "id")),
    "choice": OwnKind(CHOICE, _TABLE, ("context", "options", "label"), ("question", "id")),
    "span": OwnKind(SPAN, ("squad", *_TABLE), ("context", "question", "answer", "start"), ("id",), 384),
    "tagging": OwnKind(TAGGING, ("conll", "jsonl"), ("words", "tags")),
    "retrieval": OwnKind(NEAREST, _TABLE, ("query", "candidate"), (), 512),
    "mlm": OwnKind(MLM, ("lines",)),
}


def kind_of(name: str, *, unanswerable: bool) -> Kind[Any]:
    """The kind; questions that may have no answer have one of their own."""
    return SPAN_OR_NONE if unanswerable and name == "span" else KINDS[name].kind


def check_fields(kind: str, form: str, fields: Mapping[str, Any]) -> None:
    """A `ValueError` unless these columns can be those of a file of the kind in the form."""
    needed, allowed = ((), ()) if form in ("squad", "lines") else (KINDS[kind].needed, KINDS[kind].allowed)
    for name, column in fields.items():
        if not needed:
            raise ValueError(f"files of the form {form} have no columns; drop it")
        if name not in (*needed, *allowed):
            raise ValueError(f"{kind} tasks have no '{name}'; {did_you_mean(name, (*needed, *allowed))}")
        if isinstance(column, list) and name != "options":
            raise ValueError(f"'{name}' is in one column; name that alone")
    if lacking := [name for name in needed if name not in fields]:
        raise ValueError(f"'{lacking[0]}' is missing; say which column holds it")
    columns = [each for column in fields.values() for each in (column if isinstance(column, list) else [column])]
    for column in columns:
        if isinstance(column, bool) or not isinstance(column, str | int) or column in (0, ""):
            raise ValueError(f"{column!r} is no column; write its name, or its number from 1")
    numbers = [column for column in columns if isinstance(column, int)]
    if form == "conll" and len(numbers) < len(columns):
        raise ValueError("columns of conll have no names; write numbers, from 1 or from -1 for the last")
    if numbers and form not in ("tsv", "conll"):
        raise ValueError(f"columns of {form} have names; write names")
    if numbers and len(numbers) < len(columns):
        raise ValueError("some columns are numbers and some are names; write all one way")


def check_trainer(kind: Kind[Any], trained_by: str, labels: Mapping[str, str] | None) -> None:
    """A `ValueError` unless the head of that task can predict this kind and these labels."""
    trainer = find_task(trained_by)
    if trainer.kind.name != kind.name:
        raise ValueError(f"'{trained_by}' is of kind {trainer.kind.name}; name a task of kind {kind.name}")
    if trainer.labels is None or kind is CHOICE:
        return
    for label in (labels or {}).values():
        if label not in trainer.labels:
            raise ValueError(f"'{trained_by}' knows no label '{label}'; {did_you_mean(label, trainer.labels)}")
