"""`progress.jsonl` of a run: what its launches score and how long that takes. Training says its own in each stage's
`steps.jsonl`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

JOURNAL = "progress.jsonl"


def note(run_dir: Path, **record: Any) -> None:
    """Adds a line; by one rank. Never an error: it only tells."""
    with suppress(OSError), (run_dir / JOURNAL).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({**record, "time": round(time.time(), 3)}) + "\n")


def read_lines(path: Path, last_bytes: int | None = None) -> Iterator[dict[str, Any]]:
    """The records of a file of JSON lines, all or those in its last so many bytes; none where it is absent.

    A line that was cut short, or that two launches wrote at once, is passed over.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - last_bytes) if last_bytes else 0)
            content = stream.read()
    except OSError:
        return
    for line in content.splitlines():
        with suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                yield record
