"""Result rows: the only thing that analysis reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from xstilts.core.atomic import write_whole
from xstilts.core.errors import UserError


@dataclass(frozen=True)
class Row:
    """One score."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    arm: str
    stage: str
    """Id of the stage whose weights were scored."""
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
    seed: int
    """The study's seed: arms of the same seed are pairs, however many stages they have."""
    seeds: str
    """Seed of every stage from first to last, joined by `-`."""
    selection: str
    """How the weights were chosen: `best_dev`, `last`, or `pretrained` where nothing was trained."""
    primary: bool
    """Whether this is the task's first metric."""
    precision: str = ""
    """What the stages were trained in: `bf16`; `bf16-fp32` where that changed on the way. Without any stage, what the
    model was scored in."""


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
