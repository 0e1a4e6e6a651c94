"""Who works in a run directory: each launch has a file with a counter, which moves while the launch lives.

Whether another launch lives is judged by that counter and by the observer's own monotonic clock. Clocks of hosts are
never compared.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from xstilts.core.errors import UserError

BEATS_PER_SILENCE = 12
"""How often a launch counts within the silence after which it is given up."""


class Owner(BaseModel):
    """The content of `RUN_DIR/leases/owners/<id>.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    host: str
    pid: int
    """Of rank 0."""
    machine: str
    """Names the running kernel and the namespace in which `pid` counts; empty where that cannot be told."""
    process_start: str
    """Tells the process from a later one of the same `pid`."""
    study: str
    """Digest of what it computes: equal for launches that work on one study; empty where it joins in none."""
    silence: float
    """Seconds without a move of `count` after which others take over what it holds."""
    count: int = 0
    ended: bool = False
    """Whether it has ended in order."""


def owners_folder(run_dir: Path) -> Path:
    return run_dir / "leases" / "owners"


def read_owner(run_dir: Path, owner_id: str) -> Owner | None:
    """What a launch last wrote of itself; None where nothing can be read now."""
    try:
        return Owner.model_validate_json((owners_folder(run_dir) / f"{owner_id}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def read_owners(run_dir: Path) -> list[Owner]:
    """Every launch that ever worked there, oldest first."""
    names = sorted(path.stem for path in owners_folder(run_dir).glob("[!.]*.json"))
    return [owner for owner in (read_owner(run_dir, name) for name in names) if owner]


def seems_alive(run_dir: Path, owner: Owner, now: float) -> bool:
    """Whether a launch lives, by one look at the Unix time `now` and by when its file was last written: to be shown,
    not to be acted upon, for the clock of the file's host may be wrong."""
    if owner.ended or _has_died_here(owner):
        return False
    with contextlib.suppress(OSError):
        return now - (owners_folder(run_dir) / f"{owner.id}.json").stat().st_mtime < owner.silence
    return False


class Watch:
    """Judges which launches have died, by what this process has seen of them; for any thread."""

    def __init__(self, run_dir: Path, silence: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`silence` serves for an owner whose file says none."""
        self._run_dir = run_dir
        self._silence = silence
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, float, float]] = {}
        """Owner -> its count, the time of the last look, and for how long the count has stood still."""
        self._moved: set[str] = set()

    def is_gone(self, owner_id: str) -> bool:
        """Whether a launch has ended, or was silent for longer than it says others have to bear.

        Time counts only while this process looks: one that was stopped itself has seen nothing.
        """
        owner = read_owner(self._run_dir, owner_id)
        if owner and (owner.ended or _has_died_here(owner)):
            return True
        count, silence = (owner.count, owner.silence) if owner else (-1, self._silence)
        now = self._clock()
        with self._lock:
            before, looked, still = self._seen.get(owner_id, (count, now, 0.0))
            if count not in (before, -1):  # -1: what cannot be read says nothing
                before, still = count, 0.0
                self._moved.add(owner_id)
            else:
                still += min(now - looked, silence / 4)
            self._seen[owner_id] = before, now, still
            return still > silence

    def has_moved(self, owner_id: str) -> bool:
        """Whether its counter moved under this process's eyes, or it is a living process of this machine."""
        owner = read_owner(self._run_dir, owner_id)
        lives_here = owner is not None and owner.machine == _machine() != "" and not _has_died_here(owner)
        return lives_here or owner_id in self._moved

    def look(self) -> None:
        """Looks at every launch that has not ended."""
        for owner in read_owners(self._run_dir):
            if not owner.ended:
                self.is_gone(owner.id)


class Presence:
    """This launch among the owners of a run directory, from `begin` to `end`: a thread counts up meanwhile."""

    def __init__(self, run_dir: Path, silence: float, study: str) -> None:
        now, host, pid = datetime.now(UTC), socket.gethostname(), os.getpid()
        self._folder = owners_folder(run_dir)
        self._owner = Owner(
            id=f"{now:%Y%m%dT%H%M%S}-{host}-{pid}-{secrets.token_hex(2)}",
            host=host,
            pid=pid,
            machine=_machine(),
            process_start=_process_start(pid) or "",
            study=study,
            silence=silence,
        )
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._beaten = time.monotonic()
        self._thread: threading.Thread | None = None

    @property
    def id(self) -> str:
        return self._owner.id

    @property
    def late(self) -> bool:
        """Whether others may think by now that this launch is dead."""
        return time.monotonic() - self._beaten > self._owner.silence / 2

    def begin(self, on_beat: Callable[[], None]) -> None:
        """Joins the owners, and calls `on_beat` in the thread after every count.

        Raises:
            UserError: the run directory cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            problem = f"cannot be written ({error.strerror or error})"
            raise UserError.at(self._folder, None, problem, "give another --run-dir") from None
        self._thread = threading.Thread(target=self._beat, args=(on_beat,), name="lease", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Says that this launch holds nothing any more; from any thread, more than once."""
        self._ending.set()
        with self._lock, contextlib.suppress(OSError):  # others find it silent then
            self._owner = self._owner.model_copy(update={"ended": True})
            self._write()

    def _beat(self, on_beat: Callable[[], None]) -> None:
        while not self._ending.wait(self._owner.silence / BEATS_PER_SILENCE):
            with self._lock, contextlib.suppress(OSError):  # a file system that fails may be back at the next beat
                if not self._owner.ended:
                    self._owner = self._owner.model_copy(update={"count": self._owner.count + 1})
                    self._write()
                    self._beaten = time.monotonic()
            with contextlib.suppress(OSError):
                on_beat()

    def _write(self) -> None:
        """Not synced: after a loss of power it is silent all the same."""
        temporary = self._folder / f".{self.id}.tmp"
        temporary.write_text(self._owner.model_dump_json() + "\n", encoding="utf-8")
        os.replace(temporary, self._folder / f"{self.id}.json")


def _has_died_here(owner: Owner) -> bool:
    """Whether it was a process of this machine and is none any more."""
    return owner.machine == _machine() != "" and _process_start(owner.pid) != owner.process_start


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _process_start(pid: int) -> str | None:
    """When a process of this machine started, in its own units (proc(5), stat); None if it is none, or dead."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else fields[18]
