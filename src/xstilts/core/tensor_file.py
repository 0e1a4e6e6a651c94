"""A safetensors file that is written tensor by tensor, in the order and of the shapes said beforehand.

The library's own writer wants all tensors at once; of a large model's state that is more memory than there may be. What
is read is read with the library.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import torch

SEAL = "sha256"
"""Key of the content's digest in the metadata of a sealed file."""
_DTYPE, _NUM_BYTES = "F32", 4
_UNSEALED = "0" * 64


class TensorFile:
    """Writes fp32 tensors one after the other; a context, whose end closes the file whether it is whole or not."""

    def __init__(self, path: Path, shapes: Mapping[str, Sequence[int]], *, sealed: bool = False) -> None:
        """`shapes` by name, in the order of writing; a sealed file's order is that of the sorted names."""
        assert not sealed or list(shapes) == sorted(shapes)
        self._path = path
        self._shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self._left = list(self._shapes)
        self._written = 0
        self._sealed = sealed
        self._content = hashlib.sha256()
        self._bytes = hashlib.sha256()
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self._stream = self._path.open("wb")
        self._put(self._header(_UNSEALED))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._stream is not None
        self._stream.close()

    def write(self, name: str, part: torch.Tensor) -> None:
        """The next tensor, or the next part of it along the first dimension; it may be changed afterwards."""
        assert name == self._left[0], f"{name} in the place of {self._left[0]}"
        held = part.detach().to("cpu", torch.float32).contiguous()
        content = held.flatten().view(torch.uint8).numpy().data
        if self._sealed:
            if not self._written:
                self._content.update(description(name, held.dtype, self._shapes[name]))
            self._content.update(content)
        self._written += held.numel()
        num_values = math.prod(self._shapes[name])
        assert self._written <= num_values and part.shape[1:] == self._shapes[name][1:], name
        if self._written == num_values:
            self._written = 0
            del self._left[0]
        self._put(content)

    def seal(self) -> str:
        """After the last tensor: puts the digest of the content into the file, syncs it, and returns it."""
        assert self._sealed and not self._left and self._stream is not None
        digest = self._content.hexdigest()
        self._stream.seek(0)
        self._stream.write(self._header(digest))
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return digest

    @property
    def sha256(self) -> str:
        """Of all bytes of a file that is not sealed, after the last tensor."""
        assert not self._sealed and not self._left
        return self._bytes.hexdigest()

    def _put(self, content: bytes | memoryview) -> None:
        assert self._stream is not None
        self._stream.write(content)
        if not self._sealed:
            self._bytes.update(content)

    def _header(self, digest: str) -> bytes:
        """Eight bytes of length, then JSON; its length does not depend on the digest."""
        entries: dict[str, object] = {"__metadata__": {SEAL: digest}} if self._sealed else {}
        start = 0
        for name, shape in self._shapes.items():
            end = start + _NUM_BYTES * math.prod(shape)
            entries[name] = {"dtype": _DTYPE, "shape": list(shape), "data_offsets": [start, end]}
            start = end
        text = json.dumps(entries, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text


def description(name: str, dtype: torch.dtype, shape: Sequence[int]) -> bytes:
    """What the digest of a content has of a tensor before its bytes."""
    return json.dumps([name, str(dtype), list(shape)]).encode()
