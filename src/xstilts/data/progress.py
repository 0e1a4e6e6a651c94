"""What is seen of preparing: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from xstilts.data.catalogue import Part
from xstilts.data.prepare import Prepared

_SECONDS_BETWEEN_LINES = 30.0


class Reporter:
    """A line for each finished part; between them a bar, or every half minute how far the open parts are."""

    def __init__(self, num_parts: int, console: Console) -> None:
        self._num_parts = num_parts
        self._console = console
        self._num_done = 0
        self._examples: Counter[Part] = Counter()
        self._begun = self._last_line = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._row = self._bar.add_task("sources", total=num_parts)

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def advance(self, part: Part, num_examples: int) -> None:
        self._examples[part] += num_examples
        now = time.monotonic()
        rate = self._examples.total() / max(now - self._begun, 1e-9)
        self._bar.update(self._row, description=f"{self._examples.total():,} examples, {rate:,.0f}/s")
        if not self._console.is_terminal and now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._say(f"{_name(part)}: {self._examples[part]:,} examples so far")

    def finish(self, prepared: Prepared) -> None:
        self._num_done += 1
        self._bar.update(self._row, completed=self._num_done)
        how = f"{prepared.seconds:,.1f} s" if prepared.num_tokenised else "in the cache"
        place = f"[{self._num_done}/{self._num_parts}]"
        self._say(f"{place} {_name(prepared.part)}: {prepared.num_examples:,} examples, {how}")
        for reason, count in prepared.skipped.items():
            self._say(f"    left out {count:,}: {reason}")
        if prepared.official not in (None, prepared.num_examples):
            self._say(
                f"    the official release has {prepared.official:,} examples, these files {prepared.num_examples:,}"
            )

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _name(part: Part) -> str:
    return f"{part.task} {part.split} {part.language}"
