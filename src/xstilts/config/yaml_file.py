"""A YAML file with the line of each of its keys, so that a mistake is told with its place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from xstilts.config.explain import Place
from xstilts.core.errors import UserError


def read_yaml(path: Path, form: str, remedy: str) -> tuple[dict[str, Any], dict[Place, int]]:
    """The file as written, and the line of each of its keys.

    Args:
        path: the file.
        form: what it has to be, and `remedy` what to do where it is not, for the message.

    Raises:
        UserError: it cannot be read, is no YAML or no mapping, or has a key twice; with the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = _lines(path, node)
        raw = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError.at(path, None, f"cannot be read ({reason})", "give a readable YAML file") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise UserError.at(path, line, f"not YAML ({error.problem})", "mend the line") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError.at(
            path, line, f"not YAML (character U+{error.character:04X} is not allowed)", "mend the line"
        ) from None
    if not isinstance(raw, dict):
        raise UserError.at(path, 1, form, remedy)
    return raw, lines


def expand_path(path: Path, lines: Mapping[Place, int], raw: Any, place: Place) -> None:
    """Replaces `$NAME` and `~` in the text at `place` of what was read from `path`; leaves what is not there."""
    *sections, last = place
    for key in sections:
        raw = raw.get(key) if isinstance(raw, dict) else None
    if isinstance(raw, list) or (isinstance(raw, dict) and last in raw):
        written = raw[last]  # type: ignore[index]
    else:
        return
    if not isinstance(written, str):
        return
    expanded = os.path.expanduser(os.path.expandvars(written))
    if unset := re.search(r"\$\{?(\w+)", expanded):
        problem = f"{'.'.join(map(str, place))} is {written} and the variable {unset[1]} is not set"
        raise UserError.at(path, lines.get(place), problem, f"export {unset[1]}=FOLDER")
    raw[last] = expanded  # type: ignore[index]


def _lines(path: Path, node: yaml.Node | None, place: Place = ()) -> dict[Place, int]:
    """Place -> line number, for every key; one that stands twice would lose its first value in silence."""
    found: dict[Place, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here, line = (*place, str(key.value)), key.start_mark.line + 1
            if here in found:
                raise UserError.at(
                    path, line, f"key '{key.value}' stands here and on line {found[here]}", "remove one of them"
                )
            found[here] = line
            found |= _lines(path, value, here)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            found[(*place, i)] = value.start_mark.line + 1
            found |= _lines(path, value, (*place, i))
    return found
