"""Leases: who works on what in a run directory that many launches share.

Whatever is worked on has a folder `RUN_DIR/leases/<kind>-<key>/`. Taking it means to make the file of the next number,
`00000002.json`, which the file system lets one process do (O_EXCL). That number is the token: the highest one holds,
and whoever holds a lower one has lost it. Files are written once: `00000002.released` beside it gives the work free
again. Otherwise it is free when its owner is gone (`owner`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from xstilts.study.owner import Owner, Presence, Watch, read_owner


class Claim(BaseModel):
    """The content of `<token>.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    """`stage`, `evaluation`, or what one launch at a time does: `opening`, `publishing`, `report`."""
    key: str
    """The id of the stage, or the name of the evaluation's folder."""
    label: str
    """What messages call it."""
    token: int
    owner: str


@dataclass(frozen=True)
class LeaseState:
    """The newest claim on something."""

    claim: Claim
    released: str | None
    """Why it was given free: `published` by the one whose work it is, `done` by one that found nothing to do; None
    while it is held, or if its owner died with it."""
    owner: Owner | None
    """Its owner as it last wrote of itself: dead if `count` moves no more for `silence` seconds."""


def leases_folder(run_dir: Path) -> Path:
    return run_dir / "leases"


def read_leases(run_dir: Path) -> list[LeaseState]:
    """The newest claim on everything that was ever worked on in a run directory, by kind and key."""
    found = []
    for folder in sorted(leases_folder(run_dir).glob("*-*")):
        token = _newest(folder)
        if token and (claim := _read_claim(folder, token)):
            found.append(LeaseState(claim, _read_release(folder, token), read_owner(run_dir, claim.owner)))
    return found


def attempts(final: Path) -> list[Path]:
    """Folders `<final>.<token>` in which a stage or an evaluation is being made, or was left, the newest first."""
    found = [path for path in final.parent.glob(f"{final.name}.*") if path.name[len(final.name) + 1 :].isdecimal()]
    return sorted(found, key=token_of, reverse=True)


def token_of(attempt: Path) -> int:
    """The token of the lease under which such a folder is worked in."""
    return int(attempt.name.rpartition(".")[2])


class Lease:
    """Something that this launch holds, unless another one has taken it over."""

    def __init__(self, folder: Path, claim: Claim) -> None:
        self._folder = folder
        self.claim = claim
        self.lost = False
        """Whether it was seen to be taken over; `check` looks."""

    @property
    def token(self) -> int:
        return self.claim.token

    def check(self) -> bool:
        """Whether this launch holds it still. An answer is old when it is given: what must not happen after a takeover
        must be impossible after it (`attempt`)."""
        self.lost = self.lost or _newest(self._folder) > self.token
        return not self.lost

    def taken_by(self) -> str:
        """The launch that has taken it over."""
        claim = _read_claim(self._folder, _newest(self._folder))
        return claim.owner if claim else "another launch"

    def release(self, why: str) -> None:
        """Gives it free, for this launch too."""
        _path(self._folder, self.token).with_suffix(".released").write_text(f"{why}\n", encoding="utf-8")


class Leases:
    """Takes leases for one launch; by its first rank."""

    def __init__(self, run_dir: Path, presence: Presence, watch: Watch) -> None:
        self._run_dir = run_dir
        self._presence = presence
        self._watch = watch

    def take(self, kind: str, key: str, label: str) -> Lease | None:
        """The lease, None if another launch holds it, or was quicker."""
        folder = leases_folder(self._run_dir) / f"{kind}-{key}"
        newest = _newest(folder)
        if newest and not self._is_free(folder, newest):
            return None
        claim = Claim(kind=kind, key=key, label=label, token=newest + 1, owner=self._presence.id)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(_path(folder, claim.token), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return None
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(claim.model_dump_json() + "\n")
        return Lease(folder, claim)

    def _is_free(self, folder: Path, token: int) -> bool:
        if _read_release(folder, token) is not None:
            return True
        claim = _read_claim(folder, token)
        # A claim that cannot be read is being written, or its owner died at that: no owner has its name.
        return self._watch.is_gone(claim.owner if claim else f"{folder.name}-{token}")


def _path(folder: Path, token: int) -> Path:
    return folder / f"{token:08d}.json"


def _newest(folder: Path) -> int:
    """The highest token; 0 where there is none."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    return max((int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal()), default=0)


def _read_claim(folder: Path, token: int) -> Claim | None:
    try:
        return Claim.model_validate_json(_path(folder, token).read_bytes())
    except (OSError, ValidationError):
        return None


def _read_release(folder: Path, token: int) -> str | None:
    try:
        return _path(folder, token).with_suffix(".released").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
