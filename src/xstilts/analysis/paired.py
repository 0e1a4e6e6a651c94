"""From rows to the tables that a contrast is answered from, with what was left out of them, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from xstilts.analysis.statistics.estimate import Array, TEstimate
from xstilts.analysis.statistics.table import Table, collapsed, without_collapsed
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row

_ENGLISH = "eng_Latn"

Cells = Mapping[str, Sequence[str]]
"""Target -> languages that a question is of."""


@dataclass(frozen=True)
class ArmScores:
    """The scores of one arm on the first metric of each target; NaN where there is none."""

    name: str
    seeds: tuple[int, ...]
    values: Mapping[str, Array]
    """Target -> percent [seeds, languages]."""
    errors: Mapping[str, Array]
    """Their standard errors over test items, from the rows' bootstrap intervals."""
    collapsed: Mapping[int, bool]
    """Seed -> whether its run on some target is no better than trivial in at least half of the languages."""
    set_aside: tuple[str, ...]


def scores_of(rows: Iterable[Row], arm: str, cells: Cells, seeds: Sequence[int], precision: str) -> ArmScores:
    """The arm's scores of these seeds, computed in this precision.

    Raises:
        UserError: a target is scored on two of its splits.
    """
    mine = [row for row in rows if row.arm == arm and row.primary and row.language in cells.get(row.task, ())]
    splits = {row.task: row.split for row in mine}
    if other := next((row for row in mine if row.split != splits[row.task]), None):
        both = f"{other.split} and {splits[other.task]}"
        raise UserError(f"{other.task} is scored on {both}; report runs together only if their splits agree")
    found = {(row.task, row.seed, row.language): row for row in mine if row.precision == precision}
    values, errors, failed = {}, {}, np.zeros(len(seeds), dtype=np.bool_)
    for target, languages in cells.items():
        table = [[found.get((target, seed, language)) for language in languages] for seed in seeds]
        values[target] = _array(table, lambda row: row.value)
        errors[target] = _array(table, lambda row: (row.high - row.low) / (2 * float(stats.norm.ppf(0.975))))
        trivial = _array(table, lambda row: max(row.chance, row.majority or 0.0))
        # A property of the language: that of any of its rows.
        known = np.array([next((v for v in column if not np.isnan(v)), np.nan) for column in trivial.T])
        failed |= collapsed(values[target], known)
    others = sum(row.precision != precision for row in mine)
    said = (f"Scores of {arm} in another precision than {precision}, and left out: {others}.",) if others else ()
    runs = dict(zip(seeds, map(bool, failed), strict=True))
    return ArmScores(arm, tuple(seeds), values, errors, runs, said)


def precision_of(rows: Iterable[Row], arms: Sequence[str]) -> str:
    """That of most of the arms' scores; empty where there are none."""
    counts = Counter(row.precision for row in rows if row.arm in arms)
    return counts.most_common(1)[0][0] if counts else ""


def changes(arm: ArmScores, against: ArmScores, cells: Cells) -> Table:
    """The changes in the mean over the targets that a language is scored in, without the seeds of collapsed runs."""
    table = _by_language({target: arm.values[target] - against.values[target] for target in cells}, cells, arm.seeds)
    said = (*arm.set_aside, *against.set_aside)
    if len(cells) > 1:
        said = (f"A language counts with the mean over its targets ({', '.join(cells)}).", *said)
    there = _without_absent(replace(table, set_aside=said), f"{arm.name} and {against.name}")
    return without_collapsed(there, {each.name: each.collapsed for each in (arm, against)})


def with_english(cells: Cells) -> Cells:
    """The cells with English before the other languages of each target."""
    return {target: [_ENGLISH, *languages] for target, languages in cells.items()}


def beyond_english(arm: ArmScores) -> ArmScores:
    """Scores less the score in English of the same run and target, from scores of `with_english` cells: minus the
    transfer gap of Hu et al. (2020). The change in it is the change outside English less the change in English."""
    values = {target: scores[:, 1:] - scores[:, :1] for target, scores in arm.values.items()}
    errors = {target: np.hypot(scores[:, 1:], scores[:, :1]) for target, scores in arm.errors.items()}
    return replace(arm, values=values, errors=errors)


def seeds_scored(arms: Iterable[ArmScores], seeds: Sequence[int]) -> int:
    """How many of these seeds have every score in all of the arms."""
    tables = [(each.seeds, np.concatenate(list(each.values.values()), axis=1)) for each in arms]
    whole = [{seed for seed, row in zip(own, table, strict=True) if not np.isnan(row).any()} for own, table in tables]
    return len(set(seeds).intersection(*whole))


def over_items(arm: ArmScores, against: ArmScores, cells: Cells, block: Table) -> TEstimate:
    """The mean change of a complete block with its error over test items, for these weights.

    An upper bound: the two scores of a pair count as independent, though both are of the same items, and the changes of
    languages, targets and seeds as wholly dependent, since parallel test sets translate the same items.
    """
    errors = {target: np.hypot(arm.errors[target], against.errors[target]) for target in cells}
    table = _by_language(errors, cells, arm.seeds)
    seeds = [table.seeds.index(seed) for seed in block.seeds]
    languages = [table.languages.index(language) for language in block.languages]
    error = table.values[np.ix_(seeds, languages)].mean()
    return TEstimate(np.asarray(block.values.mean()), np.asarray(error), np.asarray(np.inf))


def spread_table(arm: ArmScores, cells: Cells) -> Table:
    """The scores, a column for each target and language, without the seeds of collapsed runs."""
    columns = tuple(f"{target} {language}" for target, languages in cells.items() for language in languages)
    table = Table(np.concatenate([arm.values[target] for target in cells], axis=1), arm.seeds, columns, arm.set_aside)
    return without_collapsed(_without_absent(table, arm.name), {arm.name: arm.collapsed})


def num_languages(*spread_tables: Table) -> int:
    """Of all columns of such tables."""
    return len({column.rpartition(" ")[2] for table in spread_tables for column in table.languages})


def _without_absent(table: Table, where: str) -> Table:
    """Leaves out the seeds that have no cell at all."""
    there = np.asarray(~np.isnan(table.values).all(axis=1))
    if there.all():
        return table
    absent = ", ".join(str(seed) for seed, is_there in zip(table.seeds, there, strict=True) if not is_there)
    return table.block(
        there, np.ones(len(table.languages), dtype=np.bool_), f"No language is scored in {where} with seed {absent}."
    )


def _by_language(values: Mapping[str, Array], cells: Cells, seeds: tuple[int, ...]) -> Table:
    """The mean over the targets of a language; NaN where one of them is missing."""
    languages = tuple(dict.fromkeys(key for keys in cells.values() for key in keys))
    columns: list[NDArray[np.float64]] = []
    for language in languages:
        having = {target: list(keys) for target, keys in cells.items() if language in keys}
        columns.append(np.mean([values[target][:, keys.index(language)] for target, keys in having.items()], axis=0))
    return Table(np.stack(columns, axis=1), seeds, languages)


def _array(rows: Sequence[Sequence[Row | None]], number: Callable[[Row], float]) -> Array:
    return np.array([[np.nan if row is None else number(row) for row in line] for line in rows], dtype=np.float64)
