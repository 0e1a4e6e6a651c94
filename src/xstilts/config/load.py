"""From a recipe's name or path, and overrides on the command line, to a checked `Recipe`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from xstilts.config.explain import Place, explain, say_where
from xstilts.config.extends import read_extended
from xstilts.config.languages import UnknownLanguagesError, write_out_languages
from xstilts.config.recipe import Recipe
from xstilts.config.slope_file import named_files, read_measures
from xstilts.config.task_file import load_task
from xstilts.config.yaml_file import expand_path, read_yaml
from xstilts.core.errors import UserError, did_you_mean
from xstilts.tasks.registry import register_own

_PATHS: tuple[Place, ...] = (("data", "root"), ("data", "cache"), ("model", "pretrained"), ("model", "tokenizer"))
"""Options in which `$NAME` and `~` are expanded: clusters differ in where things lie."""
_SHIPPED = Path(str(resources.files("xstilts") / "recipes"))
_START = "start from a shipped recipe"


_STAGE_FILES = (("subset", "ranking"), ("code_switch", "dictionary"))
"""(section of a stage, its option) that name a file."""


def shipped_recipes() -> list[str]:
    """Names of the recipes inside the package; a file that begins with `_` is a part that some of them extend."""
    paths = (path for path in _SHIPPED.rglob("*.yaml") if not path.name.startswith("_"))
    return sorted(str(path.relative_to(_SHIPPED).with_suffix("")) for path in paths)


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Reads, overrides and checks a recipe; every error is one line with the file, the place and the remedy."""
    path = _find(name_or_path)
    raw, lines = read_extended(path, partial(read_yaml, form="a recipe is a mapping of sections", remedy=_START))
    overridden: dict[Place, str] = {}
    for override in overrides:
        place = _override(raw, override)
        overridden[place] = override
        lines = {there: line for there, line in lines.items() if there[: len(place)] != place}
    for place in _PATHS:
        expand_path(path, lines, raw, place)
    _register_tasks(raw, path, lines, overridden)
    _find_files(raw, path, lines, overridden)
    _read_slopes(raw, path, lines, overridden)
    try:
        write_out_languages(raw)
    except UnknownLanguagesError as error:
        problem, _, remedy = str(error).partition("; ")
        raise say_where(error.place, problem, remedy, path, lines, overridden) from None
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise explain(error, Recipe, path, lines, overridden) from None


def _register_tasks(
    raw: Mapping[str, Any], path: Path, lines: Mapping[Place, int], overridden: Mapping[Place, str]
) -> None:
    """Makes the tasks known that the recipe's `tasks` define, and writes out the paths of their files: those of the
    recipe are below its folder, those of an override below the working directory."""
    written = raw.get("tasks")
    if not isinstance(written, list):
        return  # left for the check of types
    below = Path() if ("tasks",) in overridden else path.parent
    defined: dict[str, Path] = {}
    for i, file in enumerate(written):
        if not isinstance(file, str):
            continue
        place: Place = ("tasks", i)
        expand_path(path, lines, raw, place)
        found = (below / written[i]).absolute()
        if not found.is_file():
            raise say_where(place, f"no task file {found}", "mend the path", path, lines, overridden)
        task = load_task(found)
        if task.name in defined:
            problem = f"{found} and {defined[task.name]} both define task '{task.name}'"
            raise say_where(place, problem, "rename one of them", path, lines, overridden)
        defined[register_own(task).name] = found
        written[i] = str(found)


def _find_files(
    raw: Mapping[str, Any], path: Path, lines: Mapping[Place, int], overridden: Mapping[Place, str]
) -> None:
    """Writes out the paths of files that stages read beside their data: below the recipe's folder."""
    arms = raw.get("arms")
    chains: list[tuple[Place, Any]] = [(("pretraining",), raw.get("pretraining"))]
    chains += [(("arms", arm), stages) for arm, stages in (arms.items() if isinstance(arms, dict) else ())]
    for chain, stages in chains:
        for i, stage in enumerate(stages if isinstance(stages, list) else ()):
            for key, name in _STAGE_FILES:
                section = stage.get(key) if isinstance(stage, dict) else None
                if not isinstance(section, dict) or not isinstance(section.get(name), str):
                    continue  # left for the check of types
                place: Place = (*chain, i, key, name)
                expand_path(path, {(name,): lines[place]} if place in lines else {}, section, (name,))
                found = (path.parent / section[name]).absolute()
                if not found.is_file():
                    raise say_where(place, f"no {name} {found}", "mend the path", path, lines, overridden)
                section[name] = str(found)


def _read_slopes(
    raw: Mapping[str, Any], path: Path, lines: Mapping[Place, int], overridden: Mapping[Place, str]
) -> None:
    """Puts the numbers of a file in the place of its name, so that a run says what it held its changes against."""
    for place, slope in named_files(raw):
        expand_path(path, {("measured",): lines[place]} if place in lines else {}, slope, ("measured",))
        found = path.parent / slope["measured"]
        if not found.is_file():
            raise say_where(place, f"no measures {found}", "mend the path", path, lines, overridden)
        slope["measured"] = read_measures(found)


def _find(name_or_path: str) -> Path:
    shipped = _SHIPPED / f"{name_or_path}.yaml"
    if shipped.is_file():
        return shipped
    path = Path(name_or_path)
    if path.is_file():
        return path
    remedy = did_you_mean(name_or_path, shipped_recipes())
    raise UserError(f"no recipe '{name_or_path}': neither a file nor a shipped recipe; {remedy}")


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
