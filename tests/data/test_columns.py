"""Columns against what pyarrow itself reads, over chunks of several tables, slices and empty values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from xstilts.data.columns import Columns

SCHEMA = pa.schema(
    [("id", pa.string()), ("runs", pa.list_(pa.int32())), ("none", pa.list_(pa.int32())), ("n", pa.int32())]
)


def table(path: Path, first: int, num_rows: int, rows_per_chunk: int) -> pa.Table:
    """Memory-mapped, its rows numbered from `first` on."""
    rows = [
        {"id": "ü" * (i % 3) + str(i), "runs": list(range(i % 5)), "none": [], "n": -i}
        for i in range(first, first + num_rows)
    ]
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as writer:
        for start in range(0, num_rows, rows_per_chunk):
            writer.write_batch(pa.RecordBatch.from_pylist(rows[start : start + rows_per_chunk], schema=SCHEMA))
    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()


@pytest.fixture
def whole(tmp_path: Path) -> pa.Table:
    """Chunks of two files, one of them sliced, and of this process's own memory."""
    one, other = table(tmp_path / "one", 0, 10, 4), table(tmp_path / "other", 10, 7, 7)
    own = pa.Table.from_pylist([{"id": "", "runs": [9], "none": [], "n": 1}], schema=SCHEMA)
    return pa.concat_tables([one.slice(3), other.slice(1, 4), own, SCHEMA.empty_table()])


def test_rows_in_any_order_and_several_times(whole: pa.Table) -> None:
    columns = Columns({name: whole.column(name) for name in SCHEMA.names})
    rows = np.array([11, 0, 5, 5, 6, 7, 10, 1])
    expected = whole.take(rows).to_pydict()
    found = columns.find(rows)
    assert columns.numbers("n", *found).tolist() == expected["n"]
    ids, *lists = columns.runs(("id", "runs", "none"), *found)
    assert ids.texts() == expected["id"]
    for name, runs in zip(("runs", "none"), lists, strict=True):
        assert runs.lists() == expected[name]
        assert runs.flat().tolist() == [number for run in expected[name] for number in run]
        assert [runs.flat()[i : i + n].tolist() for i, n in zip(runs.offsets, runs.sizes, strict=True)] == expected[
            name
        ]


def test_no_rows(whole: pa.Table) -> None:
    columns = Columns({name: whole.column(name) for name in SCHEMA.names})
    found = columns.find(np.array([], dtype=np.int64))
    ids, runs = columns.runs(("id", "runs"), *found)
    assert ids.texts() == runs.lists() == []
    assert len(runs.flat()) == len(columns.numbers("n", *found)) == 0


def test_they_keep_their_memory(tmp_path: Path) -> None:
    columns = Columns({"runs": table(tmp_path / "one", 0, 10, 4).column("runs")})
    (runs,) = columns.runs(("runs",), *columns.find(np.array([4])))
    assert runs.flat().tolist() == [0, 1, 2, 3]
