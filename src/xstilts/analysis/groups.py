"""Change by groups of languages: family, script, whether XLM-R was pretrained on them, Africa."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from xstilts.analysis.transfer import Cell
from xstilts.tasks.languages import Language, find_language

_ENGLISH = "eng_Latn"

GROUPINGS: Mapping[str, Callable[[Language], str]] = {
    "family": lambda language: language.family,
    "script": lambda language: language.script,
    "pretraining": lambda language: "in XLM-R's" if language.in_xlmr else "not in XLM-R's",
    "region": lambda language: "Africa" if language.region == "Africa" else "elsewhere",
}


@dataclass(frozen=True)
class GroupMean:
    """The mean change of an arm on a target over the languages of a group, each language counted once."""

    grouping: str
    group: str
    task: str
    arm: str
    num_languages: int
    change: float


def group_means(cells: Sequence[Cell]) -> list[GroupMean]:
    """Every grouping in which the languages of some target fall into two groups or more; English is in none of them."""
    changed = [
        (cell, cell.change.mean)
        for cell in cells
        if cell.primary and cell.change.mean is not None and cell.language != _ENGLISH
    ]
    found = []
    for grouping, group_of in GROUPINGS.items():
        gathered: dict[tuple[str, str, str], list[float]] = {}
        for cell, change in changed:
            key = (group_of(find_language(cell.language)), cell.task, cell.arm)
            gathered.setdefault(key, []).append(change)
        if len({group for group, _, _ in gathered}) > 1:
            found += [GroupMean(grouping, *key, len(values), fmean(values)) for key, values in gathered.items()]
    return found
