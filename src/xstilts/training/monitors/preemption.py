"""Being asked to stop: SIGTERM and SIGUSR1, as batch systems and launchers send them, and Ctrl-C.

While a stage trains, a signal or the supervisor's command only sets a flag; the ranks agree on the step at which they
save, and end with `EXIT_PREEMPTED`. Outside of training everything finished is on disk, and the process ends at once
with the same code.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from xstilts.core.exit_codes import EXIT_FAILED, EXIT_PREEMPTED
from xstilts.distributed import heartbeat
from xstilts.distributed.protocol import ONE_REQUEST_SECONDS

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Preempted(SystemExit):
    """All ranks have saved and end together; launching again continues."""

    def __init__(self) -> None:
        super().__init__(EXIT_PREEMPTED)


class Preemption:
    """Keeps the request that this rank should stop, instead of ending the process; a context, in the main thread.

    The handlers from before come back with its end, and a request that nobody has looked at goes to them. Left by
    `Preempted`, further signals are ignored: the process is ending as it was told to, and the launcher that notices
    the first rank's end tells the others so again. A second Ctrl-C ends the process at once.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._received_at = 0.0
        self._before: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal or the supervisor asked this rank to save and end; other ranks may not know yet."""
        return self._received is not None or heartbeat.preemption_requested()

    def __enter__(self) -> Self:
        self._before = {signum: signal.signal(signum, self._note) for signum in _handled()}
        heartbeat.saves_when_asked(True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Preempted):  # then the process is about to end in order
            heartbeat.saves_when_asked(False)
        for signum, handler in self._before.items():
            signal.signal(signum, signal.SIG_IGN if isinstance(error, Preempted) else handler)
        if error is None and self._received is not None:
            os.kill(os.getpid(), self._received)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._received is None:
            self._received, self._received_at = signum, now
            if signum == signal.SIGINT and os.environ.get("RANK", "0") == "0":
                os.write(2, b"Ctrl-C: saving after this step; once more after 5 s to end at once\n")
        elif signum == signal.SIGINT and now - self._received_at > ONE_REQUEST_SECONDS:
            _end_process(EXIT_FAILED, "ended at once, as asked; what was saved before is intact")


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Within it, but for the contexts of `Preemption`, a signal ends the process with `EXIT_PREEMPTED`.

    Without any tidying up: the other ranks may wait for this one in a collective, where it cannot join them.
    """
    before = {signum: signal.signal(signum, _end) for signum in _handled()}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=(reader,), name="signals", daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(writer)
        for signum, handler in before.items():
            if signal.getsignal(signum) is _end:
                signal.signal(signum, handler)


def _listen(reader: int) -> None:
    """Does what the handler does, when that has to wait for the main thread to come back from a collective."""
    while received := os.read(reader, 64):
        for signum in received:
            if signum in SIGNALS and signal.getsignal(signum) is _end:
                _end(signum, None)
    os.close(reader)


def _handled() -> list[signal.Signals]:
    """`SIGNALS`, without a Ctrl-C that this process was started to ignore, as a shell does with what is in its
    background."""
    return [signum for signum in SIGNALS if signum != signal.SIGINT or signal.getsignal(signum) != signal.SIG_IGN]


def _end(signum: int, frame: FrameType | None) -> None:
    reason = f"{signal.Signals(signum).name} outside of training; all that is finished is saved"
    _end_process(EXIT_PREEMPTED, f"{reason}; launch again to continue")


def _end_process(code: int, reason: str) -> None:
    if not heartbeat.end_soon(code, reason):
        os.write(2, f"{reason}\n".encode())
        os._exit(code)
