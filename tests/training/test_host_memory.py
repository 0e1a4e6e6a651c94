"""Freed blocks that stay with the process, and go when asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from xstilts.training.host_memory import give_pages_back, keep_freed_pages, trim_heap

NUM_BYTES = 256 * 2**20


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def keep_and_give_back() -> None:
    before = resident()
    torch.ones(NUM_BYTES // 4)
    assert resident() - before < NUM_BYTES // 2, "glibc's own way: the pages of a large block go with it"
    keep_freed_pages()
    torch.ones(NUM_BYTES // 4)
    assert resident() - before > NUM_BYTES * 3 // 4
    trim_heap()
    assert resident() - before < NUM_BYTES // 2
    torch.ones(NUM_BYTES // 4)
    assert resident() - before > NUM_BYTES * 3 // 4, "they stay again"
    give_pages_back()
    assert resident() - before < NUM_BYTES // 2
    torch.ones(NUM_BYTES // 4)
    assert resident() - before < NUM_BYTES // 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's proc")
def test_a_freed_block_stays_until_pages_are_given_back() -> None:
    # By itself: what tests before it have left in a heap, and in which, is another in every run of all.
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    keep_and_give_back()
