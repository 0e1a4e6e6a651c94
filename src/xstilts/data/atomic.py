"""Files that are whole whenever they exist, also on a file system shared by hosts."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SECONDS_TO_LOCK = 5.0


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which takes its place at the end: a file that exists is whole.

    What killed processes have left under such names is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob("*.tmp"):
        if _abandoned(left):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    with temporary.open("wb") as held:
        with suppress(OSError):  # a file system without locks: nothing is ever taken for abandoned there
            fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _abandoned(path: Path) -> bool:
    """Whether nobody holds a file that is older than the moment between its making and its locking."""
    try:
        with path.open("rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return time.time() - os.fstat(left.fileno()).st_mtime > _SECONDS_TO_LOCK
    except OSError:
        return False
