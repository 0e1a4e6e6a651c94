"""The base of every config section, and names that a section may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from xstilts.tasks import find_task

T = TypeVar("T")


@dataclass(frozen=True)
class Unit:
    """On a number's type: what it counts or measures, as the reference of keys shows it."""

    name: str


Positive = Annotated[int, Field(gt=0)]
Steps = Annotated[Positive, Unit("optimizer steps")]
Tokens = Annotated[Positive, Unit("tokens")]
Examples = Annotated[Positive, Unit("examples")]
Share = Annotated[float, Field(ge=0, le=1), Unit("share, 0 to 1")]
Weight = Annotated[float, Field(ge=0), Unit("weight")]


_LANGUAGE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")


class Section(BaseModel):
    """Immutable, refuses unknown keys, and takes the string under each field as that field's documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _registered(name: str) -> str:
    return find_task(name).name


def _language(key: str) -> str:
    if not _LANGUAGE.fullmatch(key):
        raise ValueError(f"{key!r} is no language key; write an ISO 639-3 code, '_' and a script, as in swh_Latn")
    return key


def _once(values: list[T]) -> list[T]:
    repeated = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if repeated is not None:
        raise ValueError(f"{repeated!r} stands there twice; name it once")
    return values


TaskName = Annotated[str, AfterValidator(_registered)]
"""Name of a registered task; an error names the nearest one."""

LanguageKey = Annotated[str, AfterValidator(_language)]
"""`eng_Latn`: a part of file names. Whether a task has the language is for the task to say."""

Once = AfterValidator(_once)
"""On a list: no value occurs twice."""
