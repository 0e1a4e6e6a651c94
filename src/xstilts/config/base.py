"""The base of every config section, and names that a section may hold."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

from xstilts.tasks import find_task

T = TypeVar("T")


class Section(BaseModel):
    """Immutable, refuses unknown keys, and takes the string under each field as that field's documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _registered(name: str) -> str:
    return find_task(name).name


def _once(values: list[T]) -> list[T]:
    repeated = next((value for i, value in enumerate(values) if value in values[:i]), None)
    if repeated is not None:
        raise ValueError(f"{repeated!r} stands there twice; name it once")
    return values


TaskName = Annotated[str, AfterValidator(_registered)]
"""Name of a registered task; an error names the nearest one."""

Once = AfterValidator(_once)
"""On a list: no value occurs twice."""
