"""Pages of host memory that glibc's allocator keeps between the steps of a CPU rank.

A gradient, or a flat copy of all, is larger than the size from which glibc maps pages for a block alone: it gives them
back when the block is freed, and the kernel clears new ones in the next step, a tenth to a sixth of its time in a small
model (benchmarks/trainer.md). At ZeRO-0 keeping them takes no more memory than the highest point of a step does; at the
other stages it does, by a sixth, and is not done.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Parameters of `mallopt`, as in glibc's malloc.h."""
_DEFAULT_TRIM, _DEFAULT_MAPPED = 128 * 1024, 65536


def keep_freed_pages() -> None:
    """From now on freed blocks stay with the process, however large; nothing where the C library is not glibc."""
    _set(trim_threshold=-1, most_mapped=0)


def give_pages_back() -> None:
    """glibc's own ways again, and what it holds and does not use to the system."""
    if _set(trim_threshold=_DEFAULT_TRIM, most_mapped=_DEFAULT_MAPPED):
        trim_heap()


def trim_heap() -> None:
    """What the allocator holds now and does not use goes to the system: a model of XLM-R Large's size that has been
    scored in bf16 leaves 0.7 GB of pieces below the size from which blocks have pages of their own."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _set(*, trim_threshold: int, most_mapped: int) -> bool:
    """Whether the C library has these parameters."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        return False
    library.mallopt(_M_TRIM_THRESHOLD, trim_threshold)
    library.mallopt(_M_MMAP_MAX, most_mapped)
    return True
