"""The sign of life that every rank gives, and the watchdog that ends the rank when nobody else can.

A thread beats every two seconds: it tells the supervisor (if `launch` started this process) how far the main thread is,
and hears whether to carry on, to save and end, or to end now. It ends the process when the supervisor falls silent (cut
link) or when the launcher that started the process has died; without a supervisor, when the main thread makes no
progress. Stacks of all threads are dumped where they tell something. `faulthandler`'s timer, which needs no GIL, stands
behind it for when this thread itself cannot run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from xstilts.core.exit_codes import (
    EXIT_FAILED,
    EXIT_HUNG,
    EXIT_OK,
    EXIT_PREEMPTED,
    EXIT_STOPPED,
    EXIT_SUPERVISOR_LOST,
    exit_code_of,
)
from xstilts.distributed.protocol import ENV_RUN_ID, ENV_SILENCE, ENV_SUPERVISOR, Beat
from xstilts.distributed.supervisor_client import IO_TIMEOUT, SupervisorLink

INTERVAL = 2.0
"""Seconds between two beats."""
_GLANCE = 0.2
_STDERR = 2
_RANK_NAMES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
_WORLD_NAMES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")


class Heartbeat:
    """Beats from construction until `close`; use it as a context manager around all that a rank does.

    Within the context it is this process's, to which the functions of this module speak. Leaving the context by an
    exception reports `exit_code_of(exception)` and the exception to the supervisor.
    """

    def __init__(
        self,
        *,
        hang_seconds: float = 1800.0,
        stack_dir: Path | None = None,
        interval: float = INTERVAL,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Starts the thread.

        Args:
            hang_seconds: time without `progress` after which a process without a supervisor ends itself (a supervisor
                judges by all ranks). Time in which the whole process is stopped does not count.
            stack_dir: folder for `rank<r>.txt` with the stacks of a rank that ended itself; `None` is standard error.
            interval: seconds between two beats.
            environment: rank, world size and the supervisor's address are read from it.
        """
        self._rank = _first_int(environment, _RANK_NAMES, 0)
        self._hang_seconds = hang_seconds
        self.stack_dir = stack_dir
        self.before_sudden_end: Callable[[int, str], None] | None = None
        self._interval = interval
        self._link = SupervisorLink(environment.get(ENV_SUPERVISOR, ""))
        self._silence = float(environment.get(ENV_SILENCE, "30"))
        self._beat = Beat(
            run=environment.get(ENV_RUN_ID, ""),
            rank=self._rank,
            world=_first_int(environment, _WORLD_NAMES, 1),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        self._lock = threading.Lock()
        self._launcher = os.getppid()
        self._idle = 0.0
        self._heard = time.monotonic()
        self._saves = False
        self._preempted = threading.Event()
        self._last_wish: tuple[int, str] | None = None
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._arm()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def supervised(self) -> bool:
        """Whether `launch` started this process."""
        return self._link.known

    @property
    def preemption_requested(self) -> bool:
        """Whether the supervisor asked to save and end; ranks may learn it at different steps and must agree on one."""
        return self._preempted.is_set()

    def saves_when_asked(self, saves: bool) -> None:
        """Whether somebody looks at `preemption_requested` from now on. Where nobody does, all that is finished is on
        disk, and the process ends as soon as it is asked to."""
        self._saves = saves

    def end_soon(self, code: int, reason: str) -> None:
        """Says goodbye and ends this process, wherever its main thread is. Takes no lock: made for signal handlers."""
        self._last_wish = (code, reason)

    def progress(self, *, step: int | None = None, phase: str | None = None) -> None:
        """The main thread lives: call at least every `hang_seconds`. Costs a microsecond."""
        with self._lock:
            self._idle = 0.0
            changes: dict[str, object] = {} if step is None else {"step": step}
            if phase is not None:
                changes["phase"] = phase[:200]
            self._beat = self._beat.model_copy(update=changes)

    def saved(self, checkpoint: Path) -> None:
        """`checkpoint` is complete on disk: it is what a failure will be told to continue from."""
        with self._lock:
            self._idle = 0.0
            self._beat = self._beat.model_copy(update={"checkpoint": str(checkpoint)})
        self._wake.set()

    def close(self, code: int = EXIT_OK, reason: str = "") -> None:
        """Says goodbye with the exit `code` that the process is about to end with. Further calls do nothing."""
        global _current
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        _current = None
        self._thread.join(timeout=3 * IO_TIMEOUT)
        self._say_goodbye(code, reason)
        if self.supervised:
            faulthandler.cancel_dump_traceback_later()
        self._link.close()

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

    def _run(self) -> None:
        last = time.monotonic()
        while not self._closing.is_set():
            if self._last_wish is not None:
                self._end(*self._last_wish, dump=False)
            now = time.monotonic()
            with self._lock:
                self._idle += min(now - last, 2 * self._interval)  # a stopped process does not age
                beat = self._beat.model_copy(update={"idle": self._idle})
            last = now
            if not self.supervised:
                if beat.idle > self._hang_seconds:
                    self._end(EXIT_HUNG, f"no progress for {beat.idle:.0f} s, last at step {beat.step}, {beat.phase}")
            else:
                if os.getppid() != self._launcher:
                    self._end(EXIT_FAILED, f"its launcher (process {self._launcher}) died", dump=False)
                self._arm()
                self._exchange(beat)
            self._rest()

    def _rest(self) -> None:
        """Until the next beat is due, there is news to tell, or the end has come, which must not be told late."""
        due = time.monotonic() + self._interval
        while not self._wake.wait(min(_GLANCE, self._interval)) and time.monotonic() < due:
            if self._last_wish is not None or (self.supervised and os.getppid() != self._launcher):
                return
        self._wake.clear()

    def _arm(self) -> None:
        """Sets the timer that ends this process, stacks dumped, unless it is set again in time."""
        if self.supervised:
            faulthandler.dump_traceback_later(self._silence + 10, exit=True, file=_STDERR)

    def _exchange(self, beat: Beat) -> None:
        try:
            command = self._link.ask(beat)
        except OSError as error:
            silent = time.monotonic() - self._heard
            if silent > self._silence:
                self._end(EXIT_SUPERVISOR_LOST, f"no word from the supervisor for {silent:.0f} s ({error})")
            return
        self._heard = time.monotonic()
        if command in ("stop", "dump"):
            self._end(EXIT_STOPPED, "stopped by the supervisor", dump=command == "dump")
        if command == "save":
            self._preempted.set()
            if not self._saves:
                self._end(
                    EXIT_PREEMPTED, "asked to stop outside of training; all that is finished is saved", dump=False
                )

    def _say_goodbye(self, code: int, reason: str) -> None:
        if not self.supervised:
            return
        reason = " ".join(reason.split())[:500]
        beat = self._beat.model_copy(update={"bye": code, "reason": reason})
        with contextlib.suppress(OSError):
            self._link.ask(beat)

    def _end(self, code: int, reason: str, *, dump: bool = True) -> NoReturn:
        """Ends the process from this thread: the main one may be anywhere, and so may be who reads our output."""
        last_words = threading.Thread(target=self._last_words, args=(code, reason, dump), daemon=True)
        last_words.start()
        last_words.join(timeout=IO_TIMEOUT)
        if code == EXIT_HUNG:
            time.sleep(2 * self._interval)  # ranks that wait for this one dump their stacks before its end reaches them
        if code == EXIT_SUPERVISOR_LOST:
            with contextlib.suppress(OSError):  # openmpi's daemon would not end when its ranks do: its link is cut
                os.kill(self._launcher, signal.SIGTERM)
        os._exit(code)

    def _last_words(self, code: int, reason: str, dump: bool) -> None:
        if code != EXIT_SUPERVISOR_LOST:
            self._say_goodbye(code, reason)
        if code != EXIT_STOPPED:
            os.write(_STDERR, f"rank {self._rank} ({self._beat.host}) ends with code {code}: {reason}\n".encode())
        if self.before_sudden_end is not None:
            self.before_sudden_end(code, reason)
        if dump and self.stack_dir is not None:
            self.stack_dir.mkdir(parents=True, exist_ok=True)
            with (self.stack_dir / f"rank{self._rank}.txt").open("w", encoding="utf-8") as file:
                faulthandler.dump_traceback(file=file, all_threads=True)
        elif dump:
            faulthandler.dump_traceback(file=_STDERR, all_threads=True)


_current: Heartbeat | None = None


def progress(*, step: int | None = None, phase: str | None = None) -> None:
    """`Heartbeat.progress` of this process; nothing where none beats."""
    if _current is not None:
        _current.progress(step=step, phase=phase)


def saved(checkpoint: Path) -> None:
    """`Heartbeat.saved` of this process; nothing where none beats."""
    if _current is not None:
        _current.saved(checkpoint)


def dump_stacks_into(folder: Path) -> None:
    """Stacks go to `folder/rank<r>.txt` from now on, not to standard error; nothing where none beats."""
    if _current is not None:
        _current.stack_dir = folder


def before_sudden_end(tell: Callable[[int, str], None] | None) -> None:
    """`tell` is called with exit code and reason, in another thread, if this process is ended wherever its main thread
    is; nothing where none beats."""
    if _current is not None:
        _current.before_sudden_end = tell


def preemption_requested() -> bool:
    """`Heartbeat.preemption_requested` of this process; `False` where none beats."""
    return _current is not None and _current.preemption_requested


def saves_when_asked(saves: bool) -> None:
    """`Heartbeat.saves_when_asked` of this process; nothing where none beats."""
    if _current is not None:
        _current.saves_when_asked(saves)


def end_soon(code: int, reason: str) -> bool:
    """`Heartbeat.end_soon` of this process; `False` where none beats."""
    if _current is None:
        return False
    _current.end_soon(code, reason)
    return True


def _first_int(environment: Mapping[str, str], names: tuple[str, ...], default: int) -> int:
    return next((int(environment[name]) for name in names if environment.get(name, "").isdigit()), default)
