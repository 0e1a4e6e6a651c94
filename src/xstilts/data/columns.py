"""Rows of a memory-mapped Arrow column as Python values, without a pass over anything else.

`datasets` and pyarrow make a table of the rows that are asked for and then an object of every number in it; here views
are laid over the buffers once, and a row is a slice of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


class Column:
    """One column: 32-bit whole numbers, texts, or lists of such numbers; no value is null."""

    def __init__(self, chunks: pa.ChunkedArray) -> None:
        """Reads nothing of it yet but where its chunks begin."""
        self._type = chunks.type
        self._firsts = np.cumsum([0, *map(len, chunks.chunks)])
        self._chunks = [_views(chunk) for chunk in chunks.chunks]
        self._is_empty = all(len(values) == 0 for _, values in self._chunks)

    def take(self, rows: np.ndarray) -> list[Any]:
        """The values of these rows, in this order."""
        if pa.types.is_list(self._type) and self._is_empty:
            return [[] for _ in rows]
        numbers = np.searchsorted(self._firsts, rows, side="right") - 1
        places = (rows - self._firsts[numbers]).tolist()
        chunks = [self._chunks[number] for number in numbers.tolist()]
        found = zip(chunks, places, strict=True)
        if pa.types.is_list(self._type):
            return [values[bounds[at] : bounds[at + 1]].tolist() for (bounds, values), at in found]
        if pa.types.is_string(self._type):
            return [str(values[bounds[at] : bounds[at + 1]], "utf-8") for (bounds, values), at in found]
        return [values[at] for (_, values), at in found]


def _views(array: pa.Array) -> tuple[memoryview, memoryview]:
    """Where the values of each place begin and end, and these values; of numbers the values alone."""
    if pa.types.is_integer(array.type):
        return memoryview(b""), memoryview(array.to_numpy())
    bounds = memoryview(array.buffers()[1] or b"").cast("B").cast("i")[array.offset : array.offset + len(array) + 1]
    if pa.types.is_string(array.type):
        return bounds, memoryview(array.buffers()[2] or b"")
    return bounds, memoryview(array.values.to_numpy())
