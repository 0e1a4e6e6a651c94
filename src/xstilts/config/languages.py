"""Languages as a recipe may write them: by key (`swh_Latn`), code (`sw`) or English name, or all those of a suite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xstilts.config.explain import Place
from xstilts.config.roles import ROLES, TARGET
from xstilts.core.errors import UserError, did_you_mean
from xstilts.tasks.languages import find_language
from xstilts.tasks.suites import find_suite


class UnknownLanguagesError(UserError):
    """What stands under `languages` is known by no task."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(problem)
        self.place = place


def write_out_languages(raw: dict[str, Any]) -> None:
    """Puts keys in the place of codes, names and suites, wherever a recipe has `languages`; what is not of that form
    is left for the check of types."""
    for place, section, target in _sections(raw):
        written = section.get("languages")
        option = "languages"
        try:
            if isinstance(written, str):
                section["languages"] = _of_suite(written, target)
            elif isinstance(written, list):
                section["languages"] = [find_language(w).key if isinstance(w, str) else w for w in written]
            option = "source_language"
            if isinstance(source := section.get(option), str):
                section[option] = find_language(source).key
        except UserError as error:
            raise UnknownLanguagesError((*place, option), str(error)) from None


def _of_suite(name: str, target: str | None) -> list[str]:
    """The suite's languages of the target; for text, those of any of its tasks."""
    tasks = find_suite(name).tasks
    if target is None:
        return list(dict.fromkeys(key for keys in tasks.values() for key in keys))
    if target not in tasks:
        raise UserError(f"suite '{name}' has no task '{target}'; {did_you_mean(target, tasks)}")
    return list(tasks[target])


def _sections(raw: dict[str, Any]) -> Iterator[tuple[Place, dict[str, Any], str | None]]:
    """(place, section, target that it is of) of every section that may hold languages."""
    for role in ROLES:
        for place, stage in role.written(raw):
            yield place, stage, str(place[1]) if role is TARGET else None
    if isinstance(question := raw.get("question"), dict):
        yield ("question",), question, None
