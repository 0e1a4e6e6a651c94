"""A vector summed over the ranks of one host in memory that they share.

On a CPU gloo sends each value through a socket: 85 MB over two ranks take it 119 ms, and 21 ms are taken here
(benchmarks/trainer.md).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from deepspeed import comm

from xstilts.distributed import dist

_FOLDER = Path("/dev/shm")

_CHUNK = 2**16
"""Elements that are added up at a time: of each rank they fit into a core's cache together."""


class SharedSum:
    """A vector of each rank; `sum` puts the sum over ranks, added up in the order of their numbers, into every one."""

    def __init__(self, of_ranks: list[torch.Tensor]) -> None:
        self._of_ranks = of_ranks
        self.own = of_ranks[dist.rank()]
        """float32 [N]: this rank's, to be filled before and read after."""

    def sum(self) -> None:
        """A collective. DeepSpeed's barriers are used: the time in them counts as waiting for others."""
        comm.barrier()
        size, rank, world_size = len(self.own), dist.rank(), dist.world_size()
        total = torch.empty(_CHUNK)
        for first in range(size * rank // world_size, last := size * (rank + 1) // world_size, _CHUNK):
            here = slice(first, min(first + _CHUNK, last))
            parts = [of_rank[here] for of_rank in self._of_ranks]
            chunk = torch.add(parts[0], parts[1], out=total[: len(parts[0])])
            for part in parts[2:]:
                chunk += part
            for part in parts:
                part.copy_(chunk)
        comm.barrier()


def share_vector(size: int) -> SharedSum | None:
    """A vector of `size` float32; None where ranks are on several hosts, or the shared memory has no room for it. A
    collective.

    The memory has no name any more when this returns: it goes with the last process that has it.
    """
    name = dist.on_first_rank(lambda: f"xstilts-{secrets.token_hex(8)}")
    paths = [_FOLDER / f"{name}-{rank}" for rank in range(dist.world_size())]
    own = paths[dist.rank()]
    try:
        of_ranks = None
        if _all_can(lambda: _reserve(own, 4 * size)) and _all_can(lambda: [path.stat() for path in paths]):
            of_ranks = [torch.from_file(str(path), shared=True, size=size) for path in paths]
        dist.barrier()
    finally:
        with suppress(OSError):
            own.unlink()
    return None if of_ranks is None else SharedSum(of_ranks)


def _reserve(path: Path, num_bytes: int) -> None:
    """Makes a file whose bytes are there: writing to memory that is not ends a process."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, num_bytes)
    finally:
        os.close(descriptor)


def _all_can(do: Callable[[], object]) -> bool:
    """Whether no rank's file system refuses."""
    try:
        do()
        refused = False
    except OSError:
        refused = True
    return not any(dist.gather(refused))
