"""A recipe that says only in what it differs from another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xstilts.config.explain import Place
from xstilts.core.errors import UserError

_KEY = "extends"
Read = Callable[[Path], tuple[dict[str, Any], dict[Place, int]]]
"""File -> what is written there, and the line of each key."""


def read_extended(path: Path, read: Read, above: tuple[Path, ...] = ()) -> tuple[dict[str, Any], dict[Place, int]]:
    """The recipe as written, laid over the file, or the files one over the other, that its `extends` names below its
    own folder.

    Mappings are merged key by key, `null` in the place of one or of a list takes it out, all else it says takes the
    place of what the others say. Lines are those of the file itself: what stands in the others alone has none.
    `above` are the files that extend this one.

    Raises:
        UserError: `extends` is no name of a file and no list of them, or leads back to a file above.
    """
    raw, lines = read(path)
    if _KEY not in raw:
        return raw, lines
    written, line = raw.pop(_KEY), lines.pop((_KEY,), None)
    names = [written] if isinstance(written, str) else written
    if not (isinstance(names, list) and names and all(isinstance(name, str) for name in names)):
        problem = f"{_KEY}: expected the name of a file, or a list of them"
        raise UserError.at(path, line, problem, "name the recipe that it differs from")
    below: dict[str, Any] = {}
    for name in names:
        named, seen = path.parent / name, (*above, path.resolve())
        if not named.is_file():
            raise UserError.at(path, line, f"{_KEY}: no recipe {named}", "mend the path")
        if named.resolve() in seen:
            raise UserError.at(path, line, f"{_KEY}: {named} extends this recipe in turn", "name another one")
        below = _merged(below, read_extended(named, read, seen)[0])
    return _merged(below, raw), lines


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of both; where both have a mapping, merged, else what stands above."""
    found = dict(below)
    for key, value in above.items():
        held = found.get(key)
        if isinstance(held, dict | list) and value is None:
            del found[key]
            continue
        found[key] = _merged(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return found
