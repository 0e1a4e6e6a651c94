"""Memory that real ranks share, and where they cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from launch import run_ranks

from xstilts.distributed import dist

SIZES = (3, 3 * 2**16 + 5)


def share_all(folder: Path) -> list[Any]:
    """Runs in every rank: what all have written, by size, and what is given where it cannot be."""
    from xstilts.distributed import shared_memory

    shared_memory._FOLDER = folder
    found: list[Any] = []
    for size in SIZES:
        memory = shared_memory.share(size)
        assert memory is not None and memory.dtype == torch.float32 and not memory.any()
        dist.barrier()
        memory[dist.rank() :: dist.world_size()] = 1.0 + dist.rank()
        dist.barrier()
        found.append(memory.clone())
    found.append(sorted(path.name for path in folder.iterdir()))
    reserve = shared_memory.os.posix_fallocate
    shared_memory.os.posix_fallocate = _refuse  # type: ignore[assignment]
    found.append(shared_memory.share(5))
    shared_memory.os.posix_fallocate = reserve
    access = shared_memory.os.access
    if dist.rank() == 1:  # as on another host
        shared_memory.os.access = lambda *_: False  # type: ignore[assignment]
    found.append(shared_memory.share(5))
    shared_memory.os.access = access
    dist.barrier()
    found.append(sorted(path.name for path in folder.iterdir()))
    return found


def _refuse(descriptor: int, offset: int, length: int) -> None:
    raise OSError(28, "No space left on device")


def test_what_one_rank_writes_all_read_and_no_file_is_left(tmp_path: Path) -> None:
    for *shared, left, refused, apart, left_at_last in run_ranks(share_all, 3, tmp_path):
        for memory, size in zip(shared, SIZES, strict=True):
            assert torch.equal(memory, 1.0 + torch.arange(size) % 3)
        assert (left, refused, apart, left_at_last) == ([], None, None, [])
