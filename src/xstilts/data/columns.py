"""Rows of memory-mapped Arrow columns by numpy, without a pass over anything else.

`datasets` and pyarrow make a table of the rows that are asked for and then an object of every number in it. Here one
array is laid over the memory in which all buffers of the columns lie, and rows are places in it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from xstilts.kinds.features import Ragged

_WORD = 4
"""Bytes of a number, and of an offset into values."""


class Columns:
    """Columns of 32-bit whole numbers, of lists of such numbers, and of texts; no value is null.

    `chunk` and `place` of the methods are what `find` gives for rows.
    """

    def __init__(self, columns: Mapping[str, pa.ChunkedArray]) -> None:
        """Reads nothing of them yet but where their chunks are; all are chunked alike, as those of a file are."""
        chunks = {name: [chunk for chunk in column.chunks if len(chunk)] for name, column in columns.items()}
        (lengths,) = {tuple(map(len, each)) for each in chunks.values()}
        self._firsts = np.cumsum([0, *lengths])
        buffers = [b for each in chunks.values() for chunk in each for b in chunk.buffers() if b is not None and b.size]
        base = min(buffer.address for buffer in buffers)
        # Chunks may be of several files: what lies between their buffers is in the array, and never read.
        memory = pa.foreign_buffer(base, max(b.address + b.size for b in buffers) - base, base=columns)
        self._bytes = memoryview(memory)
        self._words = np.frombuffer(memory, dtype=np.int32, count=memory.size // _WORD)
        begins = {name: np.array([_begins(chunk, base) for chunk in each]).T for name, each in chunks.items()}
        self._bounds = {name: bounds // _WORD for name, (bounds, _) in begins.items()}
        self._values = {name: values for name, (_, values) in begins.items()}

    def find(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The chunk of each row, and its place there."""
        chunk = np.searchsorted(self._firsts, rows, side="right") - 1
        return chunk, rows - self._firsts[chunk]

    def numbers(self, name: str, chunk: np.ndarray, place: np.ndarray) -> np.ndarray:
        """int32 [rows]."""
        return self._words[self._bounds[name][chunk] + place]

    def lists(self, name: str, chunk: np.ndarray, place: np.ndarray) -> Ragged:
        """The lists of a column."""
        starts, sizes = self._runs(name, chunk, place)
        return Ragged(self._words, self._values[name][chunk] // _WORD + starts, sizes)

    def texts(self, name: str, chunk: np.ndarray, place: np.ndarray) -> list[str]:
        """The texts of a column."""
        starts, sizes = self._runs(name, chunk, place)
        starts = starts + self._values[name][chunk]
        ends = (starts + sizes).tolist()
        return [str(self._bytes[start:end], "utf-8") for start, end in zip(starts.tolist(), ends, strict=True)]

    def _runs(self, name: str, chunk: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each value begins among its chunk's, and its length; int64."""
        at = self._bounds[name][chunk] + place
        starts = self._words[at].astype(np.int64)
        return starts, self._words[at + 1] - starts


def _begins(array: pa.Array, base: int) -> tuple[int, int]:
    """Bytes from `base` to what is 32 bits for each place, numbers or where values begin, and to the values."""
    buffers = array.buffers()
    own = buffers[1].address + _WORD * array.offset - base
    if pa.types.is_integer(array.type):
        return own, own
    values = buffers[-1]
    if values is None or not values.size:
        return own, own
    skipped = _WORD * array.values.offset if pa.types.is_list(array.type) else 0
    return own, values.address + skipped - base
