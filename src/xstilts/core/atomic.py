"""Files that are whole whenever they exist, on a file system shared by hosts and after a loss of power as well."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from xstilts.core.errors import DiskFullError, StorageError, UserError

_SECONDS_TO_LOCK = 5.0

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which takes its place at the end: a file that exists is whole, and on disk.

    What killed processes have left under such names is removed.
    """
    make_folder(path.parent)
    for left in path.parent.glob("*.tmp"):
        if _abandoned(left):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    with temporary.open("wb") as held:
        with suppress(OSError):  # a file system without locks: nothing is ever taken for abandoned there
            fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        DiskFullError, StorageError: what was there before is still there.
    """
    try:
        with whole_file(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise cannot_write(path, error) from None


def scratch_beside(folder: Path) -> Path:
    """A name beside a folder for this process to prepare its next content under; `replace_folder` takes it."""
    return folder.with_name(f".{folder.name}.{socket.gethostname()}.{os.getpid()}.tmp")


def replace_folder(folder: Path, prepared: Path) -> None:
    """Gives what was prepared the name of a folder, whose content goes. Where another process does the same at the same
    moment, one of the two stays."""
    old = scratch_beside(folder).with_suffix(".old.tmp")
    if folder.is_symlink():
        folder.unlink()
    with suppress(FileNotFoundError):
        os.rename(folder, old)
    try:
        os.rename(prepared, folder)
    except OSError:
        if not folder.is_dir():
            raise
    for left in (old, prepared):
        shutil.rmtree(left, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it that are not there, such that they are still there after a loss of power."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Returns when a file's content, or the names in a folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(folder: Path) -> None:
    """Returns when everything below a folder is on disk."""
    for path in [folder, *folder.rglob("*")]:
        sync(path)


def check_writable(folder: Path, lacking: str, remedy: str) -> None:
    """Raises `UserError`, or `DiskFullError`, unless a file can be made in a folder, which is made if absent; `lacking`
    is what has to be written there."""
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        kind = DiskFullError if error.errno in _NO_SPACE else UserError
        problem = f"cannot be written ({error.strerror or error}), and has no {lacking}"
        raise kind(f"{folder}: {problem}; {remedy}") from None


def cannot_write(path: Path, error: OSError | SafetensorError) -> DiskFullError | StorageError:
    """What to raise when `path` could not be written."""
    reason = _as_os_error(error) if isinstance(error, SafetensorError) else error
    problem = f"cannot write {path} ({reason.strerror or reason})"
    if reason.errno in _NO_SPACE:
        return DiskFullError(f"{problem}; free space, then launch again")
    return StorageError(f"{problem}; mend the run directory if that does not pass, and launch again")


def _as_os_error(error: SafetensorError) -> OSError:
    """The operating system's error, which safetensors only spells out: `... (os error 28)`."""
    number = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(errno.EIO, str(error))


def _abandoned(path: Path) -> bool:
    """Whether nobody holds a file that is older than the moment between its making and its locking."""
    try:
        with path.open("rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return time.time() - os.fstat(left.fileno()).st_mtime > _SECONDS_TO_LOCK
    except OSError:
        return False
