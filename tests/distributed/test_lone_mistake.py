"""A mistake that one rank alone has found ends the run soon, told by that rank."""

from __future__ import annotations

import time

import pytest
from launch import RankError, run_ranks

from xstilts.cli import _distributed
from xstilts.cluster import dist
from xstilts.cluster.exit_codes import EXIT_USER_ERROR
from xstilts.errors import UserError


def stumble(who: tuple[int, ...]) -> int:
    """Ranks in `who` find a mistake; the others wait for them in a collective."""

    def work() -> int:
        if dist.rank() in who:
            raise UserError("this host lacks a file; copy it there")
        dist.barrier()
        return 0

    dist.tear_down()  # `_distributed` makes the group itself
    try:
        return _distributed(work, patience=2.0)
    finally:
        dist.set_up()


def test_a_rank_that_stumbles_alone_says_so_and_ends() -> None:
    begun = time.monotonic()
    with pytest.raises(RankError, match="error: rank 1 alone: this host lacks a file; copy it there"):
        run_ranks(stumble, 2, (1,))
    assert time.monotonic() - begun < 60


def test_ranks_that_stumble_together_end_in_order() -> None:
    assert run_ranks(stumble, 2, (0, 1)) == [EXIT_USER_ERROR, EXIT_USER_ERROR]
