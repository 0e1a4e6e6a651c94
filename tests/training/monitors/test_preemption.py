"""Signals while a stage trains, after it, and outside of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import FrameType

import pytest

from xstilts.core.exit_codes import EXIT_FAILED, EXIT_PREEMPTED
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


@pytest.mark.parametrize("signum", SIGNALS)
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
def strike(signum=signal.SIGTERM): os.kill(os.getpid(), signum)
def never_return():  # as in a collective without its peer: no handler of Python's runs
    mutex, lock = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
    lock(mutex), lock(mutex)
{interrupt}
with ending_at_once():
    {body}
"""

IN_FOREGROUND = "signal.signal(signal.SIGINT, signal.default_int_handler)"
"""Whatever started the tests."""


def outside(body: str, interrupt: str = IN_FOREGROUND) -> str:
    return OUTSIDE.format(body=body, interrupt=interrupt)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("strike(); print('survived')", EXIT_PREEMPTED, ""),
        ("threading.Timer(0.3, strike).start(); never_return()", EXIT_PREEMPTED, ""),
        ("with Preemption() as p: strike(); print(p.requested, flush=True)", EXIT_PREEMPTED, "True"),
        ("with Preemption() as p: strike(); raise Preempted", EXIT_PREEMPTED, ""),
        ("pass\nstrike()", -signal.SIGTERM, ""),
        ("pass", 0, ""),
        ("strike(signal.SIGINT); print('survived')", EXIT_PREEMPTED, ""),
        ("threading.Timer(0.3, strike, [signal.SIGINT]).start(); never_return()", EXIT_PREEMPTED, ""),
        ("with Preemption() as p: strike(signal.SIGINT); raise Preempted", EXIT_PREEMPTED, ""),
    ],
)
def test_outside_of_training_the_process_ends(body: str, code: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", outside(body)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (code, said), done.stderr


def test_second_ctrl_c_ends_at_once_but_not_within_the_time_of_one_request() -> None:
    """Launchers send a second signal within a second: it is still the first request."""
    body = """with Preemption() as p:
        strike(signal.SIGINT); strike(signal.SIGINT)
        print(p.requested, flush=True)
        time.sleep(5.1)
        strike(signal.SIGINT)
        print('survived')"""
    done = subprocess.run(
        [sys.executable, "-c", "import time\n" + outside(body)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (EXIT_FAILED, "True"), done.stderr
    assert done.stderr.splitlines()[-1] == "ended at once, as asked; what was saved before is intact"


def test_ctrl_c_that_the_process_was_started_to_ignore_stays_ignored() -> None:
    """A shell starts what is in its background so."""
    ignoring = ["bash", "-c", 'trap "" INT; exec "$@"', "shell"]
    program = outside("strike(signal.SIGINT); print('survived')", interrupt="")
    done = subprocess.run([*ignoring, sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "survived"), done.stderr
