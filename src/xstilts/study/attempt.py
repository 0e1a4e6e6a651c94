"""Folders that one launch works in, and that appear under their own name only when they are whole.

The holder of token 3 works on `stages/<id>` in `stages/<id>.3`. Its end is a rename to `stages/<id>`; a takeover is a
rename to `stages/<id>.4`. The file system orders the two, and after the second the first has nothing to rename: an
owner that was thought dead cannot publish, at whatever instruction it wakes. It may make the folder `stages/<id>.3`
again, by writing on; that lacks the mark which only `begin` makes, and is refused. Of several attempts at most one can
ever get the name, because a folder cannot be renamed to one that is there and holds something.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from xstilts.core.atomic import make_folder, sync
from xstilts.study.lease import Lease, attempts, token_of
from xstilts.training.superseded import Superseded

_STEPS = "steps.jsonl"


def begin(final: Path, lease: Lease, is_whole: Callable[[Path], bool]) -> Path | None:
    """The folder to work in: what the owner before left, or a new one; None if `final` turns out to be whole.

    `final` itself counts as left where it is not whole: damaged, without the weights that are wanted again, or
    unfinished by a version that worked in it.

    Raises:
        Superseded: another launch has taken the work over already.
    """
    make_folder(final.parent)
    mine = _folder(final, lease.token)
    earlier = [path for path in attempts(final) if token_of(path) < lease.token]
    if not any(_moved(path, mine) for path in earlier):
        if is_whole(final):
            return None
        if _moved(final, mine):
            if is_whole(mine):  # published in the very moment of the move
                os.rename(mine, final)
                return None
        else:
            mine.mkdir(exist_ok=True)
    try:
        _mark(mine, lease).touch()
        _part_from_writers(mine / _STEPS)
    except FileNotFoundError as error:
        raise Superseded from error
    # Who takes over looks for folders after it has claimed: it has seen this one, or its claim is seen here.
    if not lease.check():
        raise Superseded
    return mine


def publish(folder: Path, final: Path, lease: Lease) -> None:
    """Gives a whole folder, which is on disk, its own name.

    Raises:
        Superseded: another launch has taken the work over.
    """
    try:
        # Nobody but this process could make the folder again once it was moved, and it does nothing in between.
        if not _mark(folder, lease).exists():
            raise Superseded
        os.rename(folder, final)
    except OSError as error:
        if folder.exists() and not final.exists():
            raise
        raise Superseded from error
    sync(final.parent)
    for left in attempts(final):
        shutil.rmtree(left, ignore_errors=True)


def abandon(folder: Path, lease: Lease) -> None:
    """Removes what was written below the name of a folder that another launch has moved away."""
    if not _mark(folder, lease).exists():
        shutil.rmtree(folder, ignore_errors=True)


def _folder(final: Path, token: int) -> Path:
    return final.with_name(f"{final.name}.{token}")


def _mark(folder: Path, lease: Lease) -> Path:
    return folder / f".token-{lease.token}"


def _moved(source: Path, target: Path) -> bool:
    try:
        os.rename(source, target)
    except FileNotFoundError:
        return False
    return True


def _part_from_writers(path: Path) -> None:
    """Makes a file another one of the same content: an owner that wakes goes on writing into the old one."""
    if path.exists():
        temporary = path.with_name(f".{path.name}.tmp")
        shutil.copyfile(path, temporary)
        os.replace(temporary, path)
