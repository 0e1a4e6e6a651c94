"""The table of a run's similarities: one measure of one task, target and language a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.core.atomic import whole_file, write_whole

NAME = "similarity"


@dataclass(frozen=True)
class Value:
    """A measure's number, or why there is none."""

    measure: str
    value: float | None
    """None: missing."""
    num: int
    """Examples, labelled positions or features that it rests on."""
    weights: str = ""
    """`before` or `after` the stage; empty where the measure reads no weights, or both."""
    layer: int | None = None
    """0 the embeddings; None where the measure is of no layer."""
    missing: str = ""
    """Why."""


@dataclass(frozen=True)
class _Between:
    stage: str
    """Id of the intermediate stage."""
    label: str
    seed: int
    task: str
    """Intermediate task of the stage; empty where the measure is of the stage or of languages alone."""
    target: str
    language: str
    """Empty where the measure is of the target's English training data."""


@dataclass(frozen=True)
class Measurement(Value, _Between):
    """A value, and what it is of. Columns are the fields, those of `_Between` first."""


def write(folder: Path, rows: Sequence[Measurement]) -> list[Path]:
    """Writes the table as Parquet and as CSV, whole or not at all."""
    names = [field.name for field in fields(Measurement)]
    paths = [folder / f"{NAME}.parquet", folder / f"{NAME}.csv"]
    types = [pa.int64() if name in ("seed", "layer", "num") else pa.string() for name in names]
    schema = pa.schema([(n, pa.float64() if n == "value" else t) for n, t in zip(names, types, strict=True)])
    with whole_file(paths[0]) as temporary:
        pq.write_table(pa.Table.from_pylist(list(map(asdict, rows)), schema=schema), temporary)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, rows))
    write_whole(paths[1], stream.getvalue().encode())
    return paths


def read(path: Path) -> list[Measurement]:
    """The rows of a Parquet file that `write` made."""
    return [Measurement(**row) for row in pq.read_table(path).to_pylist()]


def mean(rows: Iterable[Measurement]) -> float | None:
    """Of those that are there; None of none."""
    values = [row.value for row in rows if row.value is not None]
    return sum(values) / len(values) if values else None
