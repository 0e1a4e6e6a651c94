"""From a recipe's name or path, and overrides on the command line, to a checked `Recipe`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from xstilts.config.recipe import Recipe
from xstilts.errors import UserError, did_you_mean

Place = tuple[str | int, ...]


def shipped_recipes() -> list[str]:
    """Names of the recipes inside the package."""
    folder = resources.files("xstilts") / "recipes"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Reads, overrides and checks a recipe; every error is one line with the file, the place and the remedy."""
    path = _find(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
        lines = _lines(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise UserError.at(path, line, f"not YAML ({error.problem})", "mend the line") from None
    if not isinstance(raw, dict):
        raise UserError.at(path, 1, "a recipe is a mapping of sections", "start from a shipped recipe")
    for override in overrides:
        _override(raw, override)
    root = raw.get("data", {}).get("root") if isinstance(raw.get("data"), dict) else None
    if isinstance(root, str):
        raw["data"]["root"] = _expand(path, lines.get(("data", "root")), root)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise _explain(path, lines, error) from None


def _find(name_or_path: str) -> Path:
    shipped = Path(str(resources.files("xstilts") / "recipes" / f"{name_or_path}.yaml"))
    if shipped.is_file():
        return shipped
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise UserError(f"no recipe '{name_or_path}': neither a file nor a shipped recipe; {did_you_mean(name_or_path, shipped_recipes())}")


def _expand(path: Path, line: int | None, root: str) -> str:
    expanded = os.path.expandvars(root)
    if "$" in expanded:
        raise UserError.at(path, line, f"data.root is {root} and that variable is not set", f"export {root.lstrip('$').strip('{}')}=FOLDER")
    return expanded


def _override(raw: dict[str, Any], override: str) -> None:
    dotted, equals, value = override.partition("=")
    if not equals or not dotted:
        raise UserError(f"override '{override}' is not key.path=value; write for example training.lr=1e-5")
    keys, node = dotted.split("."), raw
    for key in keys[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise UserError(f"override '{override}': '{key}' is not a section; shorten the path")
    try:
        node[keys[-1]] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UserError(f"override '{override}': the value is not YAML; quote it") from None


def _lines(node: yaml.Node | None, place: Place = ()) -> dict[Place, int]:
    """Dotted place -> line number, for every key of the file."""
    found: dict[Place, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, key.value)
            found[here] = key.start_mark.line + 1
            found |= _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            found[(*place, i)] = value.start_mark.line + 1
            found |= _lines(value, (*place, i))
    return found


def _explain(path: Path, lines: dict[Place, int], error: ValidationError) -> UserError:
    """The first error that stands in the file itself; inherited copies of it are elsewhere in the list."""
    details = error.errors(include_url=False)
    detail = next((d for d in details if d["loc"] in lines), details[0])
    place: Place = detail["loc"]
    line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
    dotted = ".".join(str(key) for key in place)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(Recipe, place[:-1])
        return UserError.at(path, line, f"unknown key '{dotted}'", did_you_mean(str(place[-1]), known))
    if detail["type"] == "missing":
        return UserError.at(path, line, f"'{dotted}' is missing", "add it")
    message = detail["msg"].removeprefix("Value error, ")
    shown = "" if detail["type"] == "value_error" else f" (found {detail['input']!r})"
    return UserError.at(path, line, f"{dotted}: {message}{shown}" if dotted else message, "mend the recipe or the override")


def _known_keys(section: type[BaseModel], place: Place) -> list[str]:
    """Field names of the section at `place`; keys that are no field name are those of a dict or list on the way."""
    for key in place:
        field = section.model_fields.get(str(key))
        if field is not None:
            section = _section_in(field.annotation) or section
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation such as `dict[str, list[StageConfig]] | None` holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section_in(inner))), None)
