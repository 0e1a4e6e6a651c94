"""A run directory belongs to one run at a time: two would remove each other's unfinished checkpoints."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import TextIO

from xstilts.core.errors import UserError

_SECONDS_TO_END = 10.0
"""Time for which a run that was just killed may still be there."""


class RunLock:
    """Held from `acquire` to `release`, or to the end of the process, however that comes."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._stream: TextIO | None = None

    def acquire(self) -> None:
        """Takes the directory, which is there; an error names who has it."""
        path = self._run_dir / ".lock"
        try:
            stream = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise UserError.at(path, None, f"cannot be written ({error.strerror})", "give another --run-dir") from None
        deadline = time.monotonic() + _SECONDS_TO_END
        while not _lock(stream):
            if time.monotonic() > deadline:
                stream.seek(0)
                holder = stream.read().strip() or "another process"
                stream.close()
                raise UserError(
                    f"{self._run_dir} is in use by {holder}; wait until that ends, or give another --run-dir"
                )
            time.sleep(0.2)
        stream.truncate(0)
        print(f"process {os.getpid()} on {socket.gethostname()}", file=stream, flush=True)
        self._stream = stream

    def release(self) -> None:
        """Gives the directory free, where this object holds it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _lock(stream: TextIO) -> bool:
    """A record lock, which works over NFS and, unlike `flock`, is not kept alive by forked children."""
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)  # a file system without locks lets everybody in
    return True
