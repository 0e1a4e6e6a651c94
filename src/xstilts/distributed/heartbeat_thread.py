"""The heartbeat of a rank, and the watchdog that ends the rank when nobody else can.

A thread sends the rank's status every two seconds to the supervisor (if `launch` started this process) and receives a
command: carry on, save and end, or end now. It ends the process when the supervisor falls silent (cut link) or when the
launcher that started the process has died; without a supervisor, when the main thread makes no progress.
`faulthandler`'s timer, which needs no GIL, does so when this thread itself cannot run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from xstilts.core.exit_codes import (
    EXIT_FAILED,
    EXIT_HUNG,
    EXIT_OK,
    EXIT_PREEMPTED,
    EXIT_STOPPED,
    EXIT_SUPERVISOR_LOST,
)
from xstilts.distributed.protocol import ENV_RUN_ID, ENV_SILENCE, ENV_SUPERVISOR, RankStatus
from xstilts.distributed.self_termination import STDERR, SelfTermination
from xstilts.distributed.supervisor_client import IO_TIMEOUT, SupervisorClient

INTERVAL = 2.0
"""Seconds between two heartbeats."""
_CHECK_SECONDS = 0.2
_RANK_NAMES = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID")
_WORLD_NAMES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")


class HeartbeatThread:
    """Beats from construction until `close`."""

    def __init__(
        self,
        *,
        hang_seconds: float = 1800.0,
        interval: float = INTERVAL,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """Starts the thread.

        Args:
            hang_seconds: time without `progress` after which a process without a supervisor ends itself (a supervisor
                judges by all ranks). Time in which the whole process is stopped does not count.
            interval: seconds between two heartbeats.
            environment: rank, world size and the supervisor's address are read from it.
        """
        self._hang_seconds = hang_seconds
        self._interval = interval
        self._client = SupervisorClient(environment.get(ENV_SUPERVISOR, ""))
        self._silence = float(environment.get(ENV_SILENCE, "30"))
        self._status = RankStatus(
            run_id=environment.get(ENV_RUN_ID, ""),
            rank=_first_int(environment, _RANK_NAMES, 0),
            world_size=_first_int(environment, _WORLD_NAMES, 1),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        self._lock = threading.Lock()
        self._launcher = os.getppid()
        self._termination = SelfTermination(
            rank=self._status.rank,
            host=self._status.host,
            launcher=self._launcher,
            report=self._send_exit,
            report_seconds=IO_TIMEOUT,
            hang_delay=2 * interval,
        )
        self._idle = 0.0
        self._last_reply = time.monotonic()
        self._saves = False
        self._preempted = threading.Event()
        self._requested_end: tuple[int, str] | None = None
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._restart_timer()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def supervised(self) -> bool:
        """Whether `launch` started this process."""
        return self._client.supervised

    @property
    def preemption_requested(self) -> bool:
        """Whether the supervisor asked to save and end; ranks may learn it at different steps and must agree on one."""
        return self._preempted.is_set()

    def saves_when_asked(self, saves: bool) -> None:
        """Whether somebody looks at `preemption_requested` from now on. Where nobody does, all that is finished is on
        disk, and the process ends as soon as it is asked to."""
        self._saves = saves

    def dump_stacks_into(self, folder: Path) -> None:
        """Stacks of a rank that ends itself go to `folder/rank<r>.txt` from now on, not to standard error."""
        self._termination.stack_dir = folder

    def before_sudden_end(self, tell: Callable[[int, str], None]) -> None:
        """`tell` is called with exit code and reason, in another thread, if this process is ended wherever its main
        thread is; the one that was named last is called first."""
        self._termination.before_end = [tell, *self._termination.before_end]

    def not_before_sudden_end(self, tell: Callable[[int, str], None]) -> None:
        """Takes back `before_sudden_end`, if it was said."""
        self._termination.before_end = [other for other in self._termination.before_end if other != tell]

    def end_soon(self, code: int, reason: str) -> None:
        """Has the thread report and end this process. Takes no lock: made for signal handlers."""
        self._requested_end = (code, reason)

    def progress(self, *, step: int | None = None, phase: str | None = None) -> None:
        """The main thread lives: call at least every `hang_seconds`. Costs a microsecond."""
        with self._lock:
            self._idle = 0.0
            changes: dict[str, object] = {} if step is None else {"step": step}
            if phase is not None:
                changes["phase"] = phase[:200]
            self._status = self._status.model_copy(update=changes)

    def saved(self, checkpoint: Path) -> None:
        """`checkpoint` is complete on disk: it is what the message of a failure will name to continue from."""
        with self._lock:
            self._idle = 0.0
            self._status = self._status.model_copy(update={"checkpoint": str(checkpoint)})
        self._wake.set()

    def close(self, code: int = EXIT_OK, reason: str = "") -> None:
        """Reports the exit `code` that the process is about to end with. Further calls do nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout=3 * IO_TIMEOUT)
        self._send_exit(code, reason)
        if self.supervised:
            faulthandler.cancel_dump_traceback_later()
        self._client.close()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._closing.is_set():
            if self._requested_end is not None:
                self._termination.end(*self._requested_end, dump=False)
            now = time.monotonic()
            with self._lock:
                self._idle += min(now - last, 2 * self._interval)  # a stopped process does not age
                status = self._status.model_copy(update={"idle_seconds": self._idle})
            last = now
            if not self.supervised:
                if (idle := status.idle_seconds) > self._hang_seconds:
                    reason = f"no progress for {idle:.0f} s, last at step {status.step}, {status.phase}"
                    self._termination.end(EXIT_HUNG, reason, dump=True)
            else:
                if os.getppid() != self._launcher:
                    self._termination.end(EXIT_FAILED, f"its launcher (process {self._launcher}) died", dump=False)
                self._restart_timer()
                self._report(status)
            self._wait()

    def _wait(self) -> None:
        """Until the next heartbeat is due or there is news to send; what ends the process is not left waiting."""
        due = time.monotonic() + self._interval
        while not self._wake.wait(min(_CHECK_SECONDS, self._interval)) and time.monotonic() < due:
            if self._requested_end is not None or (self.supervised and os.getppid() != self._launcher):
                return
        self._wake.clear()

    def _restart_timer(self) -> None:
        """Sets the timer that ends this process, stacks dumped, unless it is set again in time."""
        if self.supervised:
            faulthandler.dump_traceback_later(self._silence + 10, exit=True, file=STDERR)

    def _report(self, status: RankStatus) -> None:
        """Sends `status` and does what the supervisor replies."""
        try:
            command = self._client.send(status)
        except OSError as error:
            silent = time.monotonic() - self._last_reply
            if silent > self._silence:
                reason = f"no word from the supervisor for {silent:.0f} s ({error})"
                self._termination.end(EXIT_SUPERVISOR_LOST, reason, dump=True)
            return
        self._last_reply = time.monotonic()
        if command in ("stop", "dump"):
            self._termination.end(EXIT_STOPPED, "stopped by the supervisor", dump=command == "dump")
        if command == "save":
            self._preempted.set()
            if not self._saves:
                reason = "asked to stop outside of training; all that is finished is saved"
                self._termination.end(EXIT_PREEMPTED, reason, dump=False)

    def _send_exit(self, code: int, reason: str) -> None:
        """The last status, with the exit code that this process is about to end with."""
        if not self.supervised:
            return
        reason = " ".join(reason.split())[:500]
        with contextlib.suppress(OSError):
            self._client.send(self._status.model_copy(update={"exit_code": code, "reason": reason}))


def _first_int(environment: Mapping[str, str], names: tuple[str, ...], default: int) -> int:
    return next((int(environment[name]) for name in names if environment.get(name, "").isdigit()), default)
