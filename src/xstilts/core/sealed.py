"""Files that carry the digest of their own content, so that a damaged one is never taken for what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from xstilts.core.errors import UserError
from xstilts.core.tensor_file import SEAL, description


def write_sealed(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Writes and syncs a safetensors file; returns the digest of its content.

    Raises:
        OSError, SafetensorError: what has been written is not whole.
    """
    digest = _digest(tensors)
    save_file(dict(tensors), path, metadata={SEAL: digest})
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
    return digest


def read_sealed(path: Path, remedy: str, digest: str | None = None) -> dict[str, torch.Tensor]:
    """All tensors of a sealed file; one that is missing, damaged, or not the one with this digest is an error."""
    try:
        with safe_open(path, framework="pt") as file:
            sealed = (file.metadata() or {}).get(SEAL)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError.at(path, None, f"cannot be read ({' '.join(str(error).split())})", remedy) from None
    if sealed is None:
        raise UserError.at(path, None, "carries no digest of its content, so it was not written here", remedy)
    if sealed != _digest(tensors):
        raise UserError.at(path, None, "damaged: its content is not what was written", remedy)
    if digest not in (sealed, None):
        raise UserError.at(path, None, "is whole, but another file than the one that was written here", remedy)
    return tensors


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(description(name, tensor.dtype, tensor.shape))
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
