"""The weights that a stage hands on: master weights of encoder and heads in one sealed file."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError

from xstilts.cluster import dist
from xstilts.model.sealed import write_sealed
from xstilts.training import state
from xstilts.training.engine import Engine
from xstilts.training.saver import cannot_write


def save_weights(path: Path, engine: Engine) -> str:
    """Writes `path` whole or not at all; a collective. Tied tensors are stored once, under the encoder's name.

    Returns the digest of the file's content.
    """
    kept: dict[str, torch.Tensor] = {}
    for name, _, tensor in state.read(engine, (state.MASTER,)):
        if dist.rank() == 0:
            kept[name] = tensor.to("cpu", copy=True).contiguous()

    def write() -> str:
        temporary = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = write_sealed(temporary, kept)
            os.replace(temporary, path)
            return digest
        except (OSError, SafetensorError) as error:
            temporary.unlink(missing_ok=True)
            raise cannot_write(path, error) from None

    return dist.on_first_rank(write)
