"""What a stage saw of each item before it learnt from it: one compressed Parquet file per stage.

While a stage trains, every rank appends segments that are named after the steps they hold. A run that resumes at a step
first rewinds to it, so nothing is recorded twice, and a finished stage is compacted into the one segment of all steps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.core.atomic import write_whole
from xstilts.core.errors import UserError

SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("id", pa.string()),
        ("step", pa.int32()),  # from 0: what is recorded precedes this step's update
        ("visit", pa.int32()),  # how often the stage had drawn the item before, from 0
        ("nll", pa.float32()),  # nats: sum over the item's targets of -ln p(gold); span: start plus end of every window
        ("p_gold", pa.float32()),  # mean over the targets of p(gold); span: p(start) p(end) of a window
        ("num_targets", pa.int32()),  # pair, choice: 1; span: windows; tagging: labelled words; mlm: masked tokens
    ]
)

_KEYS = ["step", "task", "id", "visit"]
_NAME = re.compile(r"visits-(\d+)-(\d+)-rank(\d+)of(\d+)\.parquet")


@dataclass(frozen=True)
class Segment:
    """The visits of steps `first` to `end` - 1 on one rank."""

    first: int
    end: int
    rank: int
    world_size: int

    @property
    def name(self) -> str:
        return f"visits-{self.first:08d}-{self.end:08d}-rank{self.rank:05d}of{self.world_size:05d}.parquet"


class VisitRecorder:
    """Collects the visits of one rank. Costs no collective."""

    def __init__(self, folder: Path, *, first_step: int, rank: int, world_size: int) -> None:
        """Starts with step `first_step`, to which one rank has rewound the folder before."""
        self._folder = folder
        self._first = first_step
        self._rank = rank
        self._world_size = world_size
        self._columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}

    def add(
        self,
        task: str,
        step: int,
        *,
        ids: Sequence[str],
        visits: Sequence[int],
        nll: Sequence[float],
        p_gold: Sequence[float],
        num_targets: Sequence[int],
    ) -> None:
        """Records some of a step's items, of one task."""
        count = len(ids)
        columns: tuple[Sequence[object], ...] = ([task] * count, ids, [step] * count, visits, nll, p_gold, num_targets)
        for name, values in zip(SCHEMA.names, columns, strict=True):
            assert len(values) == count, name
            self._columns[name] += values

    def flush(self, end_step: int) -> None:
        """Writes what was recorded of the steps before `end_step`, which is all; called before a checkpoint is written.

        A rank that was idle writes as well, so that a lost file is not mistaken for an idle rank.

        Raises:
            DiskFullError, StorageError: nothing is lost; it may be called again.
        """
        if end_step > self._first:
            segment = Segment(self._first, end_step, self._rank, self._world_size)
            write_whole(self._folder / segment.name, _to_bytes(pa.table(self._columns, schema=SCHEMA)))
            self._columns = {name: [] for name in SCHEMA.names}
            self._first = end_step


def rewind(folder: Path, step: int) -> None:
    """Forgets the visits of `step` and later steps; by one rank, before any records."""
    for segment in _segments(folder):
        path = folder / segment.name
        if segment.end > step:
            if segment.first < step:
                table = _read(path)
                kept = Segment(segment.first, step, segment.rank, segment.world_size)
                write_whole(folder / kept.name, _to_bytes(table.filter(pc.less(table["step"], step))))
            path.unlink()


def is_recorded(folder: Path, num_steps: int) -> bool:
    """Whether the files of all ranks are there for each of the first `num_steps` steps."""
    try:
        _chain(folder, num_steps)
    except UserError:
        return False
    return True


def compact(folder: Path, num_steps: int) -> int:
    """Makes one file of a finished stage's segments; the number of visits in it. Killed at any point, it can be called
    again.

    Raises:
        UserError: as `read_visits`.
    """
    whole = Segment(0, num_steps, 0, 1)
    visits = read_visits(folder, num_steps)
    if not (folder / whole.name).exists():
        write_whole(folder / whole.name, _to_bytes(visits))
    for segment in _segments(folder):
        if segment != whole:
            (folder / segment.name).unlink()
    return visits.num_rows


def read_visits(folder: Path, num_steps: int) -> pa.Table:
    """All visits of the first `num_steps` steps, in the order of (step, task, id, visit): one row for each, also where
    the windows of an item lay on several ranks.

    Raises:
        UserError: a file is missing or damaged.
    """
    paths = [folder / segment.name for segment in _chain(folder, num_steps)]
    table = pa.concat_tables([SCHEMA.empty_table(), *map(_read, paths)])
    return _joined(table).sort_by([(name, "ascending") for name in _KEYS])


def _joined(table: pa.Table) -> pa.Table:
    """One row for each visit: sums of losses and targets, and the mean of p(gold) over the targets."""
    total = pc.multiply(table["p_gold"].cast(pa.float64()), table["num_targets"])
    parts = table.drop_columns("p_gold").append_column("total", total)
    sums = parts.group_by(_KEYS, use_threads=False).aggregate([(c, "sum") for c in ("nll", "total", "num_targets")])
    sums = sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names])
    whole = sums.append_column("p_gold", pc.divide(sums["total"], sums["num_targets"]))
    return pa.table([whole[field.name].cast(field.type) for field in SCHEMA], schema=SCHEMA)


def _chain(folder: Path, num_steps: int) -> list[Segment]:
    """Segments of all ranks that follow each other from step 0; the longest where several begin alike."""
    by_span: dict[tuple[int, int, int], list[Segment]] = {}
    for segment in _segments(folder):
        by_span.setdefault((segment.first, segment.end, segment.world_size), []).append(segment)
    whole = {(first, end): ranks for (first, end, size), ranks in by_span.items() if len(ranks) == size}
    found: list[Segment] = []
    step = 0
    while step < num_steps:
        end = max((end for first, end in whole if first == step), default=0)
        if not 0 < end <= num_steps:
            problem = f"the visits from step {step} of {num_steps} on are not here, or not of all ranks"
            raise UserError.at(folder, None, problem, "train the stage again, with the record from its first step on")
        found += whole[step, end]
        step = end
    return found


def _segments(folder: Path) -> list[Segment]:
    matches = (_NAME.fullmatch(path.name) for path in folder.glob("visits-*.parquet"))
    return sorted((Segment(*map(int, match.groups())) for match in matches if match), key=lambda segment: segment.name)


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue().to_pybytes()


def _read(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
        if table.schema != SCHEMA:
            raise pa.ArrowInvalid("other columns than a record of visits has")
    except (pa.ArrowException, OSError) as error:
        problem = f"damaged record of visits ({str(error).splitlines()[0]})"
        raise UserError.at(path, None, problem, "bring the file back, or train the stage again") from None
    return table
