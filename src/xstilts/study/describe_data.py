"""The data of a study as tables, one per task, or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from xstilts.config.recipe import Recipe
from xstilts.core.grid import grids
from xstilts.data.catalogue import Part
from xstilts.data.statistics import Statistics, split_present, statistics
from xstilts.study.sources import sources_of
from xstilts.study.workspace import Workspace, open_catalogue
from xstilts.tasks import find_task

_MAX_LABELS = 4
_COLUMNS = (
    *("split", "language", "examples", "p50", "p95", "max", "truncated", "duplicates"),
    *("seen in training", "labels"),
)


@dataclass(frozen=True)
class DataDescription:
    """What `train.py data` says."""

    parts: list[Statistics]
    absent: list[Part]
    """Named by the recipe, but without files."""
    unscored: dict[str, list[str]]
    """Target -> languages that it has and the recipe does not score."""


def describe_data(recipe: Recipe, run_dir: Path) -> DataDescription:
    """Statistics of everything that the recipe reads; tokenises what is not cached."""
    catalogue = open_catalogue(recipe, Workspace(run_dir))
    present, absent = split_present(catalogue, sources_of(recipe))
    world = recipe.data.world
    unscored = {}
    for target, settings in recipe.targets.items():
        every = list(world.languages) if world else list(find_task(target).languages)
        unscored[target] = [key for key in every if settings.languages is not None and key not in settings.languages]
    return DataDescription(statistics(catalogue, present), absent, unscored)


def to_json(description: DataDescription) -> str:
    """All numbers, labels in full."""
    parts = []
    for found in description.parts:
        numbers = asdict(found)
        del numbers["part"]
        parts.append({**found.part._asdict(), **numbers})
    absent = [part._asdict() for part in description.absent]
    return json.dumps(
        {"parts": parts, "absent": absent, "unscored": description.unscored}, indent=1, ensure_ascii=False
    )


def show_data(description: DataDescription, console: Console) -> None:
    """A table per task, and under each what it lacks."""
    names = [found.part.task for found in description.parts] + [part.task for part in description.absent]
    for name in dict.fromkeys(names):
        task = find_task(name)
        title = f"{task.title}: {name}, {task.kind.name}"
        rows = [found for found in description.parts if found.part.task == name]
        cells = [_cells(found) for found in rows]
        for table in grids(title, _COLUMNS, cells, console.width, num_keys=2, left=_COLUMNS[-2:]):
            console.print(table)
        for found in rows:
            for reason, count in found.skipped.items():
                console.print(f"  {found.part.split} {found.part.language}: left out {count:,}: {reason}", markup=False)
        lacking = [f"{part.split} {part.language}" for part in description.absent if part.task == name]
        for what, keys in (("no files", lacking), ("not in the recipe", description.unscored.get(name, []))):
            if keys:
                console.print(f"  {what}: {', '.join(keys)}", markup=False, highlight=False)
        console.print()


def _cells(found: Statistics) -> list[str]:
    def share(count: int) -> str:
        return f"{count / found.num_examples:.1%}"

    total = sum(found.labels.values())
    labels = [f"{label} {count / total:.0%}" for label, count in list(found.labels.items())[:_MAX_LABELS]]
    if len(found.labels) > _MAX_LABELS:
        labels.append(f"{len(found.labels) - _MAX_LABELS} more")
    return [
        found.part.split,
        found.part.language,
        f"{found.num_examples:,}",
        *(f"{number:,}" for number in found.num_tokens),
        share(found.num_truncated),
        share(found.num_duplicates),
        ", ".join(f"{task} {share(count)}" for task, count in found.overlap.items()),
        ", ".join(labels),
    ]
