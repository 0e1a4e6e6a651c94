"""Downloads of datasets, which may take hours and say nothing of it: their files are watched instead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_INTERVAL = 10.0
"""Seconds between two looks."""


@contextmanager
def watched(folders: tuple[Path, ...], progress: Callable[[], None], interval: float = _INTERVAL) -> Iterator[None]:
    """Calls `progress` from a thread whenever an unfinished file below one of the folders has grown, been begun or been
    finished: a download that stands still is not taken for one that moves.

    `huggingface_hub` names what it downloads `*.incomplete`, `datasets` the folder of what it builds.
    """
    done = threading.Event()
    before = _unfinished(folders)

    def watch() -> None:
        seen = before
        while not done.wait(interval):
            now = _unfinished(folders)
            if now != seen:
                progress()
            seen = now

    thread = threading.Thread(target=watch, name="download", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _unfinished(folders: tuple[Path, ...]) -> dict[Path, int]:
    """Size of every file that is being written."""
    sizes = {}
    for folder in folders:
        for found in folder.rglob("*.incomplete"):
            for path in (found, *found.rglob("*")) if found.is_dir() else (found,):
                try:
                    sizes[path] = path.stat().st_size
                except OSError:
                    continue  # finished and renamed meanwhile
    return sizes
