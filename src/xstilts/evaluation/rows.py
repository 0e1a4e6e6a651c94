"""Result rows: the only thing that analysis reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from xstilts.core.atomic import write_whole
from xstilts.core.errors import UserError

OTHER_RESULTS = "selection.jsonl"
"""Rows under other rules of selection than the primary one: a file of their own, so that nothing mixes them up."""


@dataclass(frozen=True)
class Provenance:
    """Where scored weights come from."""

    arm: str
    """Empty where several arms may share the weights."""
    stage: str
    """Id of the stage that trained them."""
    seed: int
    """The study's seed: arms of the same seed are pairs, however many stages they have."""
    seeds: str
    """Seed of every stage from first to last, joined by `-`."""
    selection: str
    """How they were chosen: `best_dev`, `last`, or `pretrained` where nothing was trained; beside the primary rule,
    `last`, `average` and `oracle` (the recipe's `selection`)."""
    precision: str
    """What they were trained in and are scored in: `fp32`, `bf16` or `fp16`."""


@dataclass(frozen=True)
class Row(Provenance):
    """One score."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    task: str
    language: str
    split: str
    metric: str
    value: float
    """Percent."""
    low: float
    """95 % bootstrap interval over the examples."""
    high: float
    chance: float
    """Expected score of a uniformly random prediction."""
    majority: float | None
    """Score of the best constant prediction; None where there is none."""
    num_examples: int
    primary: bool
    """Whether this is the task's first metric."""


_ROW = TypeAdapter(Row)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes JSON lines, whole or not at all."""
    write_whole(path, "".join(json.dumps(asdict(row)) + "\n" for row in rows).encode())


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of one file; a damaged line is a user's error."""
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            yield _ROW.validate_json(line)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            place = ".".join(map(str, detail["loc"])) or "line"
            problem = f"not a result row ({place}: {detail['msg']})"
            raise UserError.at(path, number, problem, "remove the file and launch again: it is scored anew") from None
