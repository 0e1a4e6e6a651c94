"""The exceptions whose message, a single line, is all that is shown of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(ValueError):
    """A mistake in a recipe, a data file, a hostfile or a command line.

    Its message is a single line that names the place and the remedy; `train.py` prints it without a
    traceback and exits with `EXIT_USER_ERROR`.
    """

    details: tuple[str, ...] = ()
    """Lines to be shown above it, where it sums up several mistakes."""

    @classmethod
    def at(cls, path: Path | str, place: int | str | None, problem: str, remedy: str) -> UserError:
        """An error at `path:line` (an `int`) or `path: place` (a `str`), with what to do about it."""
        where = f"{path}:{place}" if isinstance(place, int) else f"{path}: {place}" if place else f"{path}"
        return cls(f"{where}: {problem}; {remedy}")


class DiskFullError(UserError):
    """No space or quota left for a checkpoint or a result; the last good checkpoint is intact."""


class StorageError(OSError):
    """The file system fails, and not for want of space: nobody's mistake, and a later launch may well succeed."""


def reason_of(error: BaseException, *, last: bool = False) -> str:
    """The first or last line of an exception's message; its type where it has no message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1 if last else 0] if lines else type(error).__name__


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"did you mean 'x'?"` for the nearest known word, otherwise the list of known words."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
