"""Waiting for rank 0: as long as it moves, however long that is, and no longer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from launch import environment, run_ranks

from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_HUNG
from xstilts.distributed import dist, heartbeat

NUM_MOVES = 5


def wait_for(name: str) -> tuple[Any, int]:
    """What came of the work called `name` on this rank, and how often the rank counted as moving while it waited."""
    moves = []
    heartbeat.progress = lambda **_: moves.append(1)  # type: ignore[assignment]
    dist._POLL_SECONDS = 0.1
    try:
        return dist.on_first_rank_long_running(WORKS[name]), len(moves)
    except UserError as error:
        return error, len(moves)


def move() -> int:
    for _ in range(NUM_MOVES):
        time.sleep(0.3)
        dist.progress()
    time.sleep(0.3)
    return dist.rank()


def hang() -> str:
    time.sleep(1.5)
    return "late"


def fail() -> None:
    raise UserError("a mistake; mend it")


WORKS: dict[str, Callable[[], Any]] = {"moves": move, "hangs": hang, "fails": fail}


def wait_for_all() -> dict[str, tuple[Any, int]]:
    """Runs in both ranks."""
    return {name: wait_for(name) for name in WORKS}


@pytest.fixture(scope="module")
def waited() -> list[dict[str, tuple[Any, int]]]:
    return run_ranks(wait_for_all, 2)


def test_all_ranks_move_when_the_first_does(waited: Any) -> None:
    assert [found["moves"][0] for found in waited] == [0, 0]
    assert waited[1]["moves"][1] == 1 + NUM_MOVES, "to come here is one"
    assert waited[0]["moves"][1] == 1 + 2 * NUM_MOVES, "by itself, and with the others"


def test_no_rank_moves_when_the_first_hangs(waited: Any) -> None:
    assert [found["hangs"] for found in waited] == [("late", 1), ("late", 1)]


def test_the_error_of_the_work_is_every_ranks(waited: Any) -> None:
    assert [str(found["fails"][0]) for found in waited] == ["a mistake; mend it"] * 2


def work_on_each_host() -> tuple[Any, Any, list[str]]:
    """Ranks 0 and 2 are on host a, rank 1 on b; what each rank got, and what it worked itself."""
    socket.gethostname = lambda: "aba"[int(os.environ["RANK"])]
    dist._POLL_SECONDS = 0.1
    worked: list[str] = []

    def work(fails_on: str = "") -> str:
        worked.append(socket.gethostname())
        time.sleep(0.3 * dist.rank())
        if fails_on == socket.gethostname():
            raise UserError(f"host {fails_on} lacks it; copy it there")
        return f"of {socket.gethostname()}"

    try:
        failed: Any = dist.on_first_rank_of_each_host(partial(work, "b"))
    except UserError as error:
        failed = str(error)
    return dist.on_first_rank_of_each_host(work), failed, worked


def test_one_rank_of_each_host_works_for_all_there() -> None:
    values, failures, worked = zip(*run_ranks(work_on_each_host, 3), strict=True)
    assert values == ("of a", "of b", "of a")
    assert worked == (["a", "a"], ["b", "b"], [])
    assert failures == ("host b lacks it; copy it there",) * 3


DOWNLOAD = """
import sys, time
from pathlib import Path
from xstilts.distributed import dist
from xstilts.distributed.heartbeat import Heartbeat
from xstilts.model import fetch, pretrained

def download(name, *, allow_patterns, tqdm_class):  # longer than the time after which a rank without progress is ended
    bar = tqdm_class(total=20, disable=True)
    for _ in range(20):
        time.sleep(0.2)
        bar.update(int(sys.argv[1]))
    return "downloaded"

fetch.snapshot_download = download
dist._POLL_SECONDS = 0.1
with Heartbeat(hang_seconds=2.0, interval=0.1):
    print(dist.on_first_rank_of_each_host(lambda: pretrained.local_folder("some/model", dist.progress)))
"""


@pytest.mark.parametrize(("size", "code", "said"), [(10, 0, "downloaded\n"), (0, EXIT_HUNG, "")])
def test_a_download_that_moves_is_not_ended_and_one_that_hangs_is(size: int, code: int, said: str) -> None:
    command = [sys.executable, "-c", DOWNLOAD, str(size)]
    ended = subprocess.run(command, env=os.environ | environment(), capture_output=True, text=True, timeout=100)
    assert (ended.returncode, ended.stdout) == (code, said), ended.stderr


LOSE_A_RANK = """
import time
from xstilts.distributed import dist

def lose(value):
    raise RuntimeError("Connection closed by peer")

dist.gather = lose
dist._POLL_SECONDS = 0.1
dist.on_first_rank_long_running(lambda: time.sleep(60))
"""


def test_a_rank_that_is_lost_meanwhile_ends_the_work_as_well() -> None:
    begun = time.monotonic()
    command = [sys.executable, "-c", LOSE_A_RANK]
    ended = subprocess.run(command, env=os.environ | environment(), capture_output=True, text=True, timeout=100)
    assert ended.returncode == 1 and "Connection closed by peer" in ended.stderr
    assert time.monotonic() - begun < 40
