"""What a command shows while it works: lines, and below them bars where there is a screen to draw them on."""

from __future__ import annotations

import os
import shutil
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 30.0


def is_screen() -> bool:
    """Whether the standard output is a terminal that somebody looks at.

    Open MPI reads what ranks write through pseudo-terminals, which have no size: every redrawing of a bar would be a
    line of the log.
    """
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb" or "OMPI_COMM_WORLD_SIZE" in os.environ:
        return False
    return os.get_terminal_size(sys.stdout.fileno()).columns > 0


def make_console() -> Console:
    """The screen; elsewhere `$COLUMNS`, or 80, without colours."""
    return Console() if is_screen() else Console(width=shutil.get_terminal_size((80, 24)).columns, force_terminal=False)


class Display:
    """The lines and bars of one launch; elsewhere than on a screen of what the bars say a line every half minute."""

    def __init__(self, *, shown: bool = True) -> None:
        """`shown`: false for ranks whose display is to show nothing, so that callers need not ask."""
        self._shown = shown
        self._console = make_console()
        columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
        self._bars = Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
        self._draws = shown and self._console.is_terminal
        self._rows: dict[str, TaskID] = {}
        self._last_line = time.monotonic()

    def __enter__(self) -> Display:
        if self._draws:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._draws:
            self._bars.stop()

    def say(self, line: str) -> None:
        """Prints a line above the bars."""
        if self._shown:
            self._last_line = time.monotonic()
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
            self._console.file.flush()

    def update(self, bar: str, text: str, done: int, total: int) -> None:
        """Sets a bar, which appears with its first call; without a screen a line, if there was none for long."""
        if self._draws:
            if bar not in self._rows:
                self._rows[bar] = self._bars.add_task(text, total=total)
            self._bars.update(self._rows[bar], description=text, completed=done, total=total)
        elif time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
            self.say(f"{text}: {done:,} of {total:,}")

    def remove(self, bar: str) -> None:
        """Takes a bar off the screen."""
        if bar in self._rows:
            self._bars.remove_task(self._rows.pop(bar))
