"""The weights that a stage hands on: master weights of encoder and heads in one safetensors file."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from xstilts.cluster import dist
from xstilts.errors import UserError
from xstilts.training import state
from xstilts.training.engine import Engine


def save_weights(path: Path, engine: Engine) -> None:
    """Writes `path` whole or not at all; a collective. Tied tensors are stored once, under the encoder's name."""
    kept: dict[str, torch.Tensor] = {}
    for name, _, tensor in state.read(engine, (state.MASTER,)):
        if dist.rank() == 0:
            kept[name] = tensor.to("cpu", copy=True).contiguous()

    def write() -> None:
        temporary = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(kept, temporary)
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UserError(f"cannot write {path}: {error.strerror}; free space, then launch again") from None

    dist.on_first_rank(write)
