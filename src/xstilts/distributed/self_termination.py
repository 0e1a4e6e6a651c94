"""How a rank ends its own process from a thread: the main thread may be anywhere, in a collective for ever."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from xstilts.core.exit_codes import EXIT_HUNG, EXIT_STOPPED, EXIT_SUPERVISOR_LOST

STDERR = 2


@dataclass(slots=True)
class SelfTermination:
    """Ends this process after it has said why."""

    rank: int
    host: str
    launcher: int
    """Process id of the parent."""
    report: Callable[[int, str], None]
    """Sends exit code and reason to the supervisor, if there is one; called unless contact to it is lost."""
    report_seconds: float
    """Time for the report and the stacks, for whoever reads our output may hang as well."""
    hang_delay: float
    """Seconds that a rank which hangs waits before it ends: ranks that wait for it dump their stacks meanwhile."""
    before_end: list[Callable[[int, str], None]] = field(default_factory=list)
    """Called in turn with exit code and reason before the process ends."""
    stack_dir: Path | None = None
    """Folder for `rank<r>.txt` with the stacks of all threads; `None` is standard error."""

    def end(self, code: int, reason: str, *, dump: bool) -> NoReturn:
        """Ends this process with exit `code`, and with the stacks of all threads if `dump`."""
        report = threading.Thread(target=self._report, args=(code, reason, dump), daemon=True)
        report.start()
        report.join(timeout=self.report_seconds)
        if code == EXIT_HUNG:
            time.sleep(self.hang_delay)
        if code == EXIT_SUPERVISOR_LOST:
            with contextlib.suppress(OSError):  # openmpi's daemon would not end when its ranks do: its link is cut
                os.kill(self.launcher, signal.SIGTERM)
        os._exit(code)

    def _report(self, code: int, reason: str, dump: bool) -> None:
        if code != EXIT_SUPERVISOR_LOST:
            self.report(code, reason)
        if code != EXIT_STOPPED:
            os.write(STDERR, f"rank {self.rank} ({self.host}) ends with code {code}: {reason}\n".encode())
        if dump and self.stack_dir is not None:
            self.stack_dir.mkdir(parents=True, exist_ok=True)
            with (self.stack_dir / f"rank{self.rank}.txt").open("w", encoding="utf-8") as file:
                faulthandler.dump_traceback(file=file, all_threads=True)
        elif dump:
            faulthandler.dump_traceback(file=STDERR, all_threads=True)
        for tell in self.before_end:
            tell(code, reason)
