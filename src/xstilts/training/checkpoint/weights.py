"""The weights that a stage hands on: master weights of encoder and heads in one sealed file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError

from xstilts.core.atomic import cannot_write, whole_file
from xstilts.core.digests import write_sealed
from xstilts.distributed import dist
from xstilts.training.checkpoint import state
from xstilts.training.engine import Engine


def save_weights(path: Path, engine: Engine) -> str:
    """Writes `path` whole or not at all; a collective. Tied tensors are stored once, under the encoder's name.

    Returns the digest of the file's content.
    """
    kept: dict[str, torch.Tensor] = {}
    for name, _, tensor in state.read(engine, (state.MASTER,), lambda index: dist.rank() == 0):
        kept[name] = tensor.to("cpu", copy=True).contiguous()
    kept |= engine.frozen

    def write() -> str:
        try:
            with whole_file(path) as temporary:
                return write_sealed(temporary, kept)
        except (OSError, SafetensorError) as error:
            raise cannot_write(path, error) from None

    return dist.on_first_rank(write)
