"""The weights that a stage hands on: master weights of encoder and heads in one sealed file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from xstilts.core.atomic import cannot_write, whole_file
from xstilts.core.errors import DiskFullError, StorageError
from xstilts.core.tensor_file import TensorFile
from xstilts.distributed import dist
from xstilts.training.checkpoint import state
from xstilts.training.engine import Engine


def save_weights(path: Path, engine: Engine) -> str:
    """Writes `path` whole or not at all; a collective. Tied tensors are stored once, under the encoder's name.

    Tensors are gathered one by one, and rank 0 writes them. Returns the digest of the file's content.

    Raises:
        DiskFullError, StorageError: it is not written; on every rank.
    """
    names = sorted(engine.trained)
    gathered = state.read(engine, (state.MASTER,), lambda index: dist.rank() == 0, names)
    written: str | DiskFullError | StorageError = ""
    if dist.rank() == 0:
        shapes = {name: shape for (name, _), shape in state.shapes(engine, (state.MASTER,)).items()}
        written = _write(path, shapes, gathered, engine.frozen)
    for _ in gathered:
        pass  # on the other ranks, and where writing has failed: to gather is a collective

    def outcome() -> str:
        if isinstance(written, Exception):
            raise written
        return written

    return dist.on_first_rank(outcome)


def _write(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]],
    gathered: Iterator[tuple[str, str, Iterator[torch.Tensor]]],
    frozen: Mapping[str, torch.Tensor],
) -> str | DiskFullError | StorageError:
    """The digest, or what went wrong; `gathered` is sorted by name, and tensors that are `frozen` lie among them."""
    every = {**shapes, **{name: tuple(tensor.shape) for name, tensor in frozen.items()}}
    try:
        with whole_file(path) as temporary, TensorFile(temporary, dict(sorted(every.items())), sealed=True) as file:
            for name in sorted(every):
                for part in (frozen[name],) if name in frozen else next(gathered)[2]:
                    file.write(name, part)
            return file.seal()
    except OSError as error:
        return cannot_write(path, error)
