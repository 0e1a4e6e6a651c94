"""The heartbeat of this process, and the functions by which all that it runs reports to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from xstilts.core.exit_codes import EXIT_OK, exit_code_of
from xstilts.distributed.heartbeat_thread import INTERVAL, HeartbeatThread


class Heartbeat(HeartbeatThread):
    """A context manager around all that a rank does; within it, the functions of this module speak to it.

    Leaving it by an exception reports `exit_code_of(exception)` and the exception to the supervisor.
    """

    def close(self, code: int = EXIT_OK, reason: str = "") -> None:
        global _current
        _current = None
        super().close(code, reason)

    def __enter__(self) -> Self:
        global _current
        _current = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.close(exit_code_of(error), f"{type(error).__name__}: {error}")


_current: Heartbeat | None = None
"""One per process, as the process group: signal handlers and progress bars of libraries must find it."""


def progress(*, step: int | None = None, phase: str | None = None) -> None:
    """`HeartbeatThread.progress` of this process; nothing outside of a `Heartbeat`, as in all functions below."""
    if _current is not None:
        _current.progress(step=step, phase=phase)


def saved(checkpoint: Path) -> None:
    """`HeartbeatThread.saved` of this process."""
    if _current is not None:
        _current.saved(checkpoint)


def dump_stacks_into(folder: Path) -> None:
    """`HeartbeatThread.dump_stacks_into` of this process."""
    if _current is not None:
        _current.dump_stacks_into(folder)


def before_sudden_end(tell: Callable[[int, str], None]) -> None:
    """`HeartbeatThread.before_sudden_end` of this process; nothing where none beats."""
    if _current is not None:
        _current.before_sudden_end(tell)


def not_before_sudden_end(tell: Callable[[int, str], None]) -> None:
    """`HeartbeatThread.not_before_sudden_end` of this process."""
    if _current is not None:
        _current.not_before_sudden_end(tell)


def preemption_requested() -> bool:
    """`HeartbeatThread.preemption_requested` of this process."""
    return _current is not None and _current.preemption_requested


def await_word() -> None:
    """Stays for two heartbeats, in which whoever started the ranks, a supervisor or DeepSpeed's launcher, ends this
    process because of another one's end; without a heartbeat not at all.

    DeepSpeed's launcher looks once a second, and of several ends it takes the code of the lowest rank.
    """
    if _current is not None:
        time.sleep(2 * INTERVAL)


def saves_when_asked(saves: bool) -> None:
    """`HeartbeatThread.saves_when_asked` of this process."""
    if _current is not None:
        _current.saves_when_asked(saves)


def end_soon(code: int, reason: str) -> bool:
    """`HeartbeatThread.end_soon` of this process; `False` where there is no heartbeat to do it."""
    if _current is None:
        return False
    _current.end_soon(code, reason)
    return True
