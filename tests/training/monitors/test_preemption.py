"""Signals while a stage trains, after it, and outside of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import FrameType

import pytest

from xstilts.core.exit_codes import EXIT_PREEMPTED
from xstilts.training.monitors.preemption import SIGNALS, Preempted, Preemption


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[list[int]]:
    """Handlers that note what reaches them; those from before come back."""
    reached: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        reached.append(signum)

    before = {signum: signal.signal(signum, note) for signum in SIGNALS}
    yield reached
    for signum, handler in before.items():
        signal.signal(signum, handler)


def run_until_asked() -> None:
    with Preemption() as preemption:
        os.kill(os.getpid(), signal.SIGTERM)
        if preemption.requested:
            raise Preempted


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_signal_is_a_request(own_handlers: list[int], signum: signal.Signals) -> None:
    with Preemption() as preemption:
        assert not preemption.requested
        os.kill(os.getpid(), signum)
        assert preemption.requested
        assert own_handlers == []
    assert own_handlers == [signum]


def test_looked_at_request_goes_no_further(own_handlers: list[int]) -> None:
    with pytest.raises(Preempted):
        run_until_asked()
    assert own_handlers == []


def test_handlers_come_back(own_handlers: list[int]) -> None:
    with pytest.raises(KeyError), Preemption():
        raise KeyError
    os.kill(os.getpid(), signal.SIGTERM)
    assert own_handlers == [signal.SIGTERM]


def test_further_signals_are_ignored_once_preempted(own_handlers: list[int]) -> None:
    with pytest.raises(Preempted), Preemption():
        raise Preempted
    os.kill(os.getpid(), signal.SIGTERM)
    assert own_handlers == []


def test_preempted_is_an_exit_with_its_code() -> None:
    assert Preempted().code == EXIT_PREEMPTED


OUTSIDE = """
import ctypes, os, signal, threading
from xstilts.training.monitors.preemption import Preempted, Preemption, ending_at_once
def strike(): os.kill(os.getpid(), signal.SIGTERM)
def never_return():  # as in a collective without its peer: no handler of Python's runs
    mutex, lock = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex), lock(mutex)
with ending_at_once():
    {body}
"""


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("strike(); print('survived')", EXIT_PREEMPTED, ""),
        ("threading.Timer(0.3, strike).start(); never_return()", EXIT_PREEMPTED, ""),
        ("with Preemption() as p: strike(); print(p.requested, flush=True)", EXIT_PREEMPTED, "True"),
        ("with Preemption() as p: strike(); raise Preempted", EXIT_PREEMPTED, ""),
        ("pass\nstrike()", -signal.SIGTERM, ""),
        ("pass", 0, ""),
    ],
)
def test_outside_of_training_the_process_ends(body: str, code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUTSIDE.format(body=body)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (code, said), done.stderr
