"""Memory that the ranks of one host share."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import torch

from xstilts.distributed import dist

_FOLDER = Path("/dev/shm")


def share(size: int) -> torch.Tensor | None:
    """Zeros, float32 [size], the same memory on every rank; None where ranks are on several hosts, or the shared memory
    has no room for it. A collective.

    The memory has no name any more when this returns: it goes with the last process that has it. A single rank is given
    memory of its own.
    """
    if dist.world_size() == 1:
        return torch.zeros(size)
    try:
        path = dist.on_first_rank(lambda: _reserve(4 * size))
    except OSError:
        return None
    try:
        memory = None
        if all(dist.gather(os.access(path, os.R_OK | os.W_OK))):
            memory = torch.from_file(str(path), shared=True, size=size, dtype=torch.float32)
        dist.barrier()
        return memory
    finally:
        if dist.rank() == 0:
            path.unlink()


def _reserve(num_bytes: int) -> Path:
    """A new file whose bytes are there: writing to memory that is not ends a process."""
    path = _FOLDER / f"xstilts-{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, num_bytes)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)
    return path
