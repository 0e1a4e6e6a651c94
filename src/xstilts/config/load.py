"""From a recipe's name or path, and overrides on the command line, to a checked `Recipe`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from xstilts.config.explain import Place, explain, say_where
from xstilts.config.languages import UnknownLanguagesError, write_out_languages
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError, did_you_mean

_PATHS: tuple[Place, ...] = (("data", "root"), ("data", "cache"), ("model", "pretrained"), ("model", "tokenizer"))
"""Options in which `$NAME` and `~` are expanded: clusters differ in where things lie."""


def shipped_recipes() -> list[str]:
    """Names of the recipes inside the package."""
    folder = resources.files("xstilts") / "recipes"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Reads, overrides and checks a recipe; every error is one line with the file, the place and the remedy."""
    path = _find(name_or_path)
    raw, lines = _read(path)
    overridden: dict[Place, str] = {}
    for override in overrides:
        place = _override(raw, override)
        overridden[place] = override
        lines = {there: line for there, line in lines.items() if there[: len(place)] != place}
    for section, option in _PATHS:
        _expand(path, lines, raw, str(section), str(option))
    try:
        write_out_languages(raw)
    except UnknownLanguagesError as error:
        problem, _, remedy = str(error).partition("; ")
        raise say_where(error.place, problem, remedy, path, lines, overridden) from None
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise explain(error, Recipe, path, lines, overridden) from None


def _find(name_or_path: str) -> Path:
    shipped = Path(str(resources.files("xstilts") / "recipes" / f"{name_or_path}.yaml"))
    if shipped.is_file():
        return shipped
    path = Path(name_or_path)
    if path.is_file():
        return path
    remedy = did_you_mean(name_or_path, shipped_recipes())
    raise UserError(f"no recipe '{name_or_path}': neither a file nor a shipped recipe; {remedy}")


def _read(path: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    """The recipe as written, and the line of each of its keys."""
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
        raise UserError.at(path, 1, "a recipe is a mapping of sections", "start from a shipped recipe")
    return raw, lines


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


def _override(raw: dict[str, Any], override: str) -> Place:
    """Sets `key.path=value`; a number in the path counts the entries of a list from 0. Returns the place."""
    dotted, equals, value = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise UserError(f"override '{override}' is not key.path=value; write for example training.lr=1e-5")
    place: list[str | int] = []
    node: Any = raw
    *sections, last = dotted.split(".")
    for key in sections:
        index = _index(node, key, override)
        if isinstance(node, dict) and node.get(key) is None:
            node[key] = {}
        node = node[index]
        place.append(index)
    index = _index(node, last, override)
    try:
        node[index] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"override '{override}': the value is not YAML; quote it") from None
    return (*place, index)


def _index(node: Any, key: str, override: str) -> str | int:
    """The key as `node` is indexed by it."""
    if isinstance(node, dict):
        return key
    if isinstance(node, list):
        if key.isdecimal() and int(key) < len(node):
            return int(key)
        raise UserError(
            f"override '{override}': '{key}' stands for an entry of a list; give a number below {len(node)}"
        )
    raise UserError(f"override '{override}': there is no section above '{key}'; shorten the path")


def _expand(path: Path, lines: Mapping[Place, int], raw: dict[str, Any], section: str, option: str) -> None:
    """Replaces environment variables and `~` in one path of the recipe."""
    options = raw.get(section)
    if not isinstance(options, dict) or not isinstance(options.get(option), str):
        return
    written = options[option]
    expanded = os.path.expanduser(os.path.expandvars(written))
    if unset := re.search(r"\$\{?(\w+)", expanded):
        problem = f"{section}.{option} is {written} and the variable {unset[1]} is not set"
        raise UserError.at(path, lines.get((section, option)), problem, f"export {unset[1]}=FOLDER")
    options[option] = expanded
