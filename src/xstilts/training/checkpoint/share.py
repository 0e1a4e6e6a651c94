"""A rank's file of a checkpoint, written while the next tensors are gathered, with few of them in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch

from xstilts.core.atomic import sync
from xstilts.core.tensor_file import TensorFile
from xstilts.training.checkpoint.format import File

_MOST_BYTES = 256 * 2**20
"""Copied and not yet written; a single part may be larger."""


def write_share(path: Path, shapes: Mapping[str, Sequence[int]], tensors: Iterable[tuple[str, torch.Tensor]]) -> File:
    """Writes and syncs the tensors of these names, which may come in parts along their first dimension; each part is
    only read until the next one is asked for.

    All are asked for even where writing fails, since to gather them is a collective.

    Raises:
        OSError: the file is not whole.
    """
    given = iter(tensors)
    try:
        with TensorFile(path, shapes) as file:
            _write_all(file, given)
            sha256 = file.sha256
        sync(path)
    finally:
        for _ in given:
            pass
    return File(path.name, path.stat().st_size, sha256)


def _write_all(file: TensorFile, given: Iterator[tuple[str, torch.Tensor]]) -> None:
    """In a thread of its own: ranks write at the same time though they gather one after the other."""
    pending: deque[tuple[Future[None], int]] = deque()
    with ThreadPoolExecutor(max_workers=1) as writer:
        for name, tensor in given:
            while pending and sum(size for _, size in pending) + tensor.nbytes > _MOST_BYTES:
                pending.popleft()[0].result()
            held = tensor.to("cpu", copy=True)
            pending.append((writer.submit(file.write, name, held), held.nbytes))
            del held, tensor
        for written, _ in pending:
            written.result()
