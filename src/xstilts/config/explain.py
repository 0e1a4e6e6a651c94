"""What pydantic found wrong, as the one line that a researcher can act on."""

from __future__ import annotations

import re
import reprlib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from xstilts.core.errors import UserError, did_you_mean

Place = tuple[str | int, ...]
"""Keys and list indices from the top of the file."""


def explain(
    error: ValidationError,
    model: type[BaseModel],
    path: Path,
    lines: Mapping[Place, int],
    overridden: Mapping[Place, str],
) -> UserError:
    """The first error that was written as such, in an override or in the file; inherited copies of it come after."""
    details = error.errors(include_url=False)
    detail = next((d for d in details if d["loc"] in lines or d["loc"] in overridden), details[0])
    place: Place = tuple(key for key in detail["loc"] if key != "[key]")
    problem, remedy = _say(detail, place, model)
    return say_where(place, problem, remedy, path, lines, overridden)


def say_where(
    place: Place,
    problem: str,
    remedy: str,
    path: Path,
    lines: Mapping[Place, int],
    overridden: Mapping[Place, str],
) -> UserError:
    """A problem as that of the override or the line that it comes from."""
    for length in range(len(place), 0, -1):
        if place[:length] in overridden:
            return UserError(f"override '{overridden[place[:length]]}': {problem}; {remedy}")
        if place[:length] in lines:
            return UserError.at(path, lines[place[:length]], problem, remedy)
    return UserError.at(path, None, problem, remedy)


def _say(detail: Any, place: Place, model: type[BaseModel]) -> tuple[str, str]:
    """Problem and remedy."""
    dotted = ".".join(str(key) for key in place).replace("\n", "\\n")
    if detail["type"] == "extra_forbidden":
        section = _bare(_annotation(model, place[:-1]))
        return f"unknown key '{dotted}'", did_you_mean(str(place[-1]), section.model_fields)
    if detail["type"] == "missing":
        return f"'{dotted}' is missing", "add it"
    if detail["type"] == "value_error":
        problem, _, remedy = detail["msg"].removeprefix("Value error, ").partition("; ")
        return f"{dotted}: {problem}" if dotted else problem, remedy or "mend it"
    if detail["type"] in ("model_type", "dict_type"):
        message = "expected a mapping of options"
    else:
        message = re.sub("^Input should be ", "expected ", detail["msg"])
    return f"{dotted}: {message}, found {reprlib.repr(detail['input'])}", "mend it"


def _annotation(model: type[BaseModel], place: Place) -> Any:
    """The type of what stands at `place` below a section."""
    found: Any = model
    for key in place:
        found = _bare(found)
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(str(key))
            found = field.annotation if field else None
        else:
            found = get_args(found)[-1] if get_args(found) else None
    return found


def _bare(annotation: Any) -> Any:
    """The type without `Annotated` and `| None`."""
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        annotation = next(inner for inner in get_args(annotation) if inner is not types.NoneType)
    return annotation
