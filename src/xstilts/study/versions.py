"""Versions of what numbers come from."""

from __future__ import annotations

import platform
from importlib import metadata

import torch

import xstilts

_PACKAGES = ("torch", "deepspeed", "transformers", "tokenizers", "numpy", "safetensors", "datasets", "pyarrow")


def versions() -> dict[str, str | None]:
    """Name -> version; None where there is none of it."""
    found: dict[str, str | None] = {"python": platform.python_version(), "xstilts": xstilts.__version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    on_gpu = torch.cuda.is_available()
    found["cuda"] = torch.version.cuda if on_gpu else None
    found["cudnn"] = str(torch.backends.cudnn.version()) if on_gpu else None
    found["nccl"] = ".".join(map(str, torch.cuda.nccl.version())) if on_gpu else None
    return found
