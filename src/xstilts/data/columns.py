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
    """Columns of 32-bit whole numbers, of lists of such numbers, and of texts; no value is null."""

    def __init__(self, columns: Mapping[str, pa.ChunkedArray]) -> None:
        """Reads nothing of them yet but where their chunks are; all are chunked alike, as those of a file are."""
        chunks = {name: [chunk for chunk in column.chunks if len(chunk)] for name, column in columns.items()}
        (lengths,) = {tuple(map(len, each)) for each in chunks.values()}
        self._firsts = np.cumsum([0, *lengths])
        buffers = [b for each in chunks.values() for chunk in each for b in chunk.buffers() if b is not None and b.size]
        base = min(buffer.address for buffer in buffers)
        # Chunks may be of several files: what lies between their buffers is in the array, and never read.
        memory = pa.foreign_buffer(base, max(b.address + b.size for b in buffers) - base, base=columns)
        self.words = np.frombuffer(memory, dtype=np.int32, count=memory.size // _WORD)
        letters = np.frombuffer(memory, dtype=np.uint8)
        texts = {name for name, column in columns.items() if pa.types.is_string(column.type)}
        self._memory = {name: letters if name in texts else self.words for name in columns}
        self._begins = {name: np.array([_begins(chunk, base) for chunk in each]) for name, each in chunks.items()}
        self._stacked: dict[tuple[str, ...], np.ndarray] = {}

    def find(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The chunk of each row, and its place there: what the other methods take."""
        chunk = self._firsts.searchsorted(rows, side="right") - 1
        return chunk, rows - self._firsts[chunk]

    def numbers(self, name: str, chunk: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The numbers of a column, int32 [rows]."""
        return self.words.take(self._begins[name][chunk, 0] + place)

    def runs(self, names: tuple[str, ...], chunk: np.ndarray, place: np.ndarray) -> list[Ragged]:
        """The lists of numbers, or the bytes of the texts, of some columns."""
        runs = self.locate(names, chunk, place)
        return [Ragged(self._memory[name], *run) for name, *run in zip(names, *runs, strict=True)]

    def locate(self, names: tuple[str, ...], chunk: np.ndarray, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the lists of some columns begin in `words`, and numbers of each: int64 [columns, rows] both. Of texts
        it is bytes."""
        if names not in self._stacked:
            self._stacked[names] = np.array([self._begins[name].T for name in names])
        places, values = self._stacked[names].take(chunk, axis=2).swapaxes(0, 1)
        places += place
        starts = self.words.take(places).astype(np.int64)
        places += 1
        sizes = self.words.take(places) - starts
        starts += values
        return starts, sizes


def _begins(array: pa.Array, base: int) -> tuple[int, int]:
    """Numbers of 32 bits from `base` to the chunk's numbers, or to where its values begin; and numbers, of a text
    bytes, to these values."""
    buffers = array.buffers()
    own = (buffers[1].address - base) // _WORD + array.offset
    values = buffers[-1]
    if values is None or not values.size:
        return own, 0
    if pa.types.is_string(array.type):
        return own, values.address - base
    return own, (values.address - base) // _WORD + (array.values.offset if pa.types.is_list(array.type) else 0)


def as_numpy(chunks: pa.ChunkedArray) -> np.ndarray:
    """The 32-bit numbers of a column; pyarrow's own conversion would import pandas."""
    numbers: np.ndarray = np.concatenate([np.empty(0, np.int32), *map(np.from_dlpack, chunks.chunks)])
    return numbers
