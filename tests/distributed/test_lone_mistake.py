"""A mistake that one rank alone has found ends the run soon, told by that rank."""

from __future__ import annotations

import os

import pytest
from launch import RankError, free_port, run_ranks

from xstilts.commands.ranks import run_on_ranks
from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_USER_ERROR
from xstilts.distributed import dist


def stumble(who: tuple[int, ...], next_port: int) -> int:
    """Ranks in `who` find a mistake; the others wait for them in a collective."""

    def work() -> int:
        if dist.rank() in who:
            raise UserError("this host lacks a file; copy it there")
        dist.barrier()
        return 0

    try:
        return run_on_ranks(work, together_seconds=5.0)
    finally:
        # The group has ended with it, and `run_ranks` wants one. Not at the old port, which may still be listened to.
        os.environ["MASTER_PORT"] = str(next_port)
        dist.set_up()


def test_a_rank_that_stumbles_alone_says_so_and_ends() -> None:
    with pytest.raises(RankError, match="error: rank 1 alone: this host lacks a file; copy it there"):
        run_ranks(stumble, 2, (1,), free_port(), timeout=100)


def test_ranks_that_stumble_together_end_in_order() -> None:
    assert run_ranks(stumble, 2, (0, 1), free_port()) == [EXIT_USER_ERROR, EXIT_USER_ERROR]
