"""Rows of a memory-mapped Arrow column as Python values, without a pass over anything else.

`datasets` and pyarrow make a table of the rows that are asked for and then an object of every number in it; here numpy
views are laid over the buffers once, and a row is a slice of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa


class Column:
    """One column: whole numbers, texts, or lists of whole numbers; no value is null."""

    def __init__(self, chunks: pa.ChunkedArray) -> None:
        """Reads nothing of it yet but where its chunks begin."""
        self._chunks = [_Chunk(chunk) for chunk in chunks.chunks]
        self._firsts = np.cumsum([0, *map(len, chunks.chunks)])

    def take(self, rows: np.ndarray) -> list[Any]:
        """The values of these rows, in this order."""
        chunks = np.searchsorted(self._firsts, rows, side="right") - 1
        places = rows - self._firsts[chunks]
        return [self._chunks[chunk].value(place) for chunk, place in zip(chunks.tolist(), places.tolist(), strict=True)]


class _Chunk:
    """A contiguous part of a column."""

    def __init__(self, array: pa.Array) -> None:
        self._bounds: np.ndarray | None = None
        self._text: memoryview | None = None
        if pa.types.is_integer(array.type):
            self._numbers = array.to_numpy()
            return
        bounds = np.frombuffer(array.buffers()[1], dtype=np.int32)
        self._bounds = bounds[array.offset : array.offset + len(array) + 1]
        if pa.types.is_string(array.type):
            self._text = memoryview(array.buffers()[2] or b"")
        else:
            self._numbers = array.values.to_numpy()

    def value(self, place: int) -> Any:
        if self._bounds is None:
            return int(self._numbers[place])
        start, end = self._bounds[place], self._bounds[place + 1]
        if start == end:
            return [] if self._text is None else ""
        if self._text is None:
            return self._numbers[start:end].tolist()
        return str(self._text[start:end], "utf-8")
