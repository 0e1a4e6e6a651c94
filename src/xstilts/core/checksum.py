"""SHA-256 of large files, remembered so that no launch reads gigabytes only to know that they are the same."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from xstilts.core.atomic import whole_file
from xstilts.core.errors import UserError

_Key = tuple[str, int, int, int]
"""Path, size in bytes, time of change in nanoseconds, inode."""


class Checksums:
    """Remembers a file's checksum for as long as its size, time of change and inode stay."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        """Holds one small file per file; None remembers for this process alone."""
        self._known: dict[_Key, str] = {}

    def of(self, path: Path) -> str:
        """SHA-256 in hexadecimal digits; an error where the file cannot be read."""
        try:
            stat = path.stat()
            key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino)
            if key not in self._known:
                self._known[key] = self._recall(key) or self._compute(path, key)
        except OSError as error:
            raise UserError.at(path, None, error.strerror or str(error), "check the path and its permissions") from None
        return self._known[key]

    def _recall(self, key: _Key) -> str | None:
        try:
            *stored, digest = json.loads(self._note(key).read_text(encoding="utf-8")) if self._folder else [None]
        except (OSError, ValueError):
            return None
        return digest if tuple(stored) == key else None

    def _compute(self, path: Path, key: _Key) -> str:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if self._folder:
            with suppress(OSError), whole_file(self._note(key)) as temporary:  # a cache may be read-only
                temporary.write_text(json.dumps([*key, digest]), encoding="utf-8")
        return digest

    def _note(self, key: _Key) -> Path:
        assert self._folder is not None
        return self._folder / f"{hashlib.sha256(key[0].encode()).hexdigest()[:16]}.json"
