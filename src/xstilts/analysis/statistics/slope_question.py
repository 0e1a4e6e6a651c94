"""Does something measured of tasks, or of tasks and languages, predict what the tasks change?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from xstilts.analysis.statistics.answer import Estimand, Finding, Remedy, Unit, scaled_up
from xstilts.analysis.statistics.estimate import Array
from xstilts.analysis.statistics.least_design import MIN_PERMUTATIONS, MIN_SEEDS, MIN_TASKS
from xstilts.analysis.statistics.similarity import num_permutations, similarity_slope, within
from xstilts.analysis.statistics.table import Table, complete_block
from xstilts.analysis.statistics.task_regression import task_slope
from xstilts.core.errors import UserError


@dataclass(frozen=True)
class TaskMeans:
    """What the tasks change, in means over seeds."""

    changes: Array
    """[tasks, languages]"""
    languages: tuple[str, ...]
    """Those that are complete for all tasks."""
    num_seeds: int
    """The fewest of a task."""
    set_aside: tuple[str, ...]


def task_finding(
    name: str, tables: Mapping[str, Table], predictor: Mapping[str, float], *, measure: str, matters: float
) -> Finding:
    """The slope of the tasks' mean changes on a predictor of the task; `tables` and `predictor` by task.

    Raises:
        UserError: fewer than three tasks, or the predictor is the same for all.
    """
    means = task_means(tables)
    x = np.array([predictor[task] for task in tables])
    if len(x) < 3 or not np.ptp(x) > 0:
        raise UserError(f"{name}: a slope takes three tasks that differ in the predictor; add tasks")
    estimate = task_slope(means.changes.mean(axis=1), x)
    return Finding(
        name=name,
        measure=measure,
        estimand=Estimand.TASKS_LIKE_THESE,
        estimate=estimate,
        matters=matters,
        num_seeds=means.num_seeds,
        num_languages=len(means.languages),
        remedy=lambda level: Remedy(Unit.TASKS, scaled_up(len(x), estimate, matters, level)),
        lacking=_lacking(means.num_seeds) or (Remedy(Unit.TASKS, MIN_TASKS - len(x)) if len(x) < MIN_TASKS else None),
        set_aside=means.set_aside,
    )


def similarity_finding(
    name: str,
    tables: Mapping[str, Table],
    similarity: Mapping[tuple[str, str], float],
    families: Mapping[str, str],
    *,
    measure: str,
    matters: float,
    beside: tuple[str, ...] = (),
) -> Finding:
    """The slope on the similarity of (task, language), task and language effects apart; `tables` by task; `beside` as
    in `Finding`.

    Raises:
        UserError: fewer than two tasks, or the similarity does not vary within tasks and languages.
    """
    means = task_means(tables)
    languages, set_aside = means.languages, means.set_aside
    x = np.array([[similarity.get((task, language), np.nan) for language in languages] for task in tables])
    known = ~np.isnan(x).any(axis=0)
    if not known.all():
        set_aside += (f"Without similarity, and left out: {int((~known).sum())} of {len(known)} languages.",)
    changes, x = means.changes[:, known], x[:, known]
    kept = [families[language] for language, is_known in zip(languages, known, strict=True) if is_known]
    if len(tables) < 2 or x.shape[1] < 2 or not np.abs(within(x)).max() > 0:
        raise UserError(f"{name}: the similarity does not vary within tasks and languages; add tasks or languages")
    estimate = similarity_slope(changes, x, kept)
    few = Remedy(Unit.LANGUAGES, None) if num_permutations(kept) < MIN_PERMUTATIONS else None
    return Finding(
        name=name,
        measure=measure,
        estimand=Estimand.LANGUAGES_LIKE_THESE,
        estimate=estimate,
        matters=matters,
        num_seeds=means.num_seeds,
        num_languages=len(kept),
        remedy=lambda level: Remedy(Unit.LANGUAGES, scaled_up(len(kept), estimate, matters, level)),
        lacking=_lacking(means.num_seeds) or few,
        beside=beside,
        set_aside=set_aside,
    )


def task_means(tables: Mapping[str, Table]) -> TaskMeans:
    """The complete cells of all tasks' tables, in means over seeds.

    Raises:
        UserError: no language is complete for all tasks.
    """
    blocks = {task: complete_block(table) for task, table in tables.items()}
    shared = reduce(lambda a, b: [x for x in a if x in b], (list(block.languages) for block in blocks.values()))
    if not shared:
        raise UserError("no language is complete for all tasks; run what `plan` lists")
    means = [block.values[:, [block.languages.index(x) for x in shared]].mean(axis=0) for block in blocks.values()]
    set_aside = tuple(f"{task}: {sentence}" for task, block in blocks.items() for sentence in block.set_aside)
    return TaskMeans(np.stack(means), tuple(shared), min(len(block.seeds) for block in blocks.values()), set_aside)


def _lacking(num_seeds: int) -> Remedy | None:
    return Remedy(Unit.SEEDS, MIN_SEEDS - num_seeds) if num_seeds < MIN_SEEDS else None
