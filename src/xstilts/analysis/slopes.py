"""The slopes of a question, from rows: what is measured of tasks and languages against what the tasks change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from xstilts.analysis.paired import ArmScores, Cells, changes, precision_of, scores_of, seeds_scored
from xstilts.analysis.statistics.answer import Finding
from xstilts.analysis.statistics.prediction import PredictionError, leave_one_family_out, leave_one_language_out
from xstilts.analysis.statistics.slope_question import similarity_finding, task_finding, task_means
from xstilts.analysis.statistics.table import Table
from xstilts.config.slope import Slope
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row
from xstilts.tasks.languages import find_language


def slope_finding(
    label: str, slope: Slope, rows: Sequence[Row], cells: Cells, planned: Sequence[int], matters: float
) -> tuple[Finding, int]:
    """The answer to one slope, and how many of the planned seeds have all of its scores.

    Raises:
        UserError: the rows allow none.
    """
    scores = _scores(slope, rows, cells, planned)
    tables = {arm: changes(scores[arm], scores[slope.against], cells) for arm in slope.arms}
    for arm, table in tables.items():
        if not table.seeds:
            raise UserError(f"no seed is left of {arm}. {' '.join(table.set_aside).removesuffix('.')}")
    measure = f"points per unit of {slope.of}"
    if slope.by_language is None:
        found = task_finding(label, tables, slope.by_arm, measure=measure, matters=matters)
    else:
        pairs = {(arm, key): value for arm, values in slope.by_language.items() for key, value in values.items()}
        families = {key: find_language(key).family for keys in cells.values() for key in keys}
        beside = _predictions(tables, pairs, families)
        found = similarity_finding(label, tables, pairs, families, measure=measure, matters=matters, beside=beside)
    return found, seeds_scored(scores.values(), planned)


def measured_changes(
    slope: Slope, rows: Sequence[Row], cells: Cells, planned: Sequence[int]
) -> list[tuple[str, str, float, float]]:
    """(arm, language, measure, mean change over seeds) of each point; none where the rows allow no slope."""
    scores = _scores(slope, rows, cells, planned)
    try:
        means = task_means({arm: changes(scores[arm], scores[slope.against], cells) for arm in slope.arms})
    except UserError:
        return []
    of_pairs = slope.by_language or {}
    return [
        (arm, language, value, float(means.changes[i, j]))
        for i, arm in enumerate(slope.arms)
        for j, language in enumerate(means.languages)
        if (value := of_pairs[arm].get(language) if of_pairs else slope.by_arm[arm]) is not None
    ]


def _scores(slope: Slope, rows: Sequence[Row], cells: Cells, planned: Sequence[int]) -> dict[str, ArmScores]:
    """Arm -> its scores, with every seed that one of the slope's arms has."""
    arms = (*slope.arms, slope.against)
    seeds = sorted({*planned, *(row.seed for row in rows if row.arm in arms)})
    precision = precision_of(rows, arms)
    return {arm: scores_of(rows, arm, cells, seeds, precision) for arm in arms}


def _predictions(
    tables: Mapping[str, Table], similarity: Mapping[tuple[str, str], float], families: Mapping[str, str]
) -> tuple[str, ...]:
    """How well the similarity predicts what was held out, in sentences; none where too few languages are measured."""
    means = task_means(tables)
    kept = [i for i, key in enumerate(means.languages) if all((task, key) in similarity for task in tables)]
    if len(kept) < 3:
        return ()
    languages = [means.languages[i] for i in kept]
    x = np.array([[similarity[task, key] for key in languages] for task in tables])
    own = [families[key] for key in languages]
    said = [_sentence("language", leave_one_language_out(means.changes[:, kept], x, own))]
    sizes = [own.count(family) for family in dict.fromkeys(own)]
    if len(sizes) > 1 and len(own) - max(sizes) > 1:
        said.append(_sentence("family", leave_one_family_out(means.changes[:, kept], x, own)))
    return tuple(said)


def _sentence(what: str, error: PredictionError) -> str:
    alone = f" ({error.num_without_family} without relatives)" if error.num_without_family else ""
    return (
        f"A {what} that is held out is predicted with an error of {error.similarity:.2f} points from the measure, "
        f"{error.mean_only:.2f} from the mean alone, {error.family_only:.2f} from its family{alone}."
    )
