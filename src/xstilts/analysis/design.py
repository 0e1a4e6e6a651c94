"""What a study could find, told before it is run, and how many seeds or languages its smallest effect takes.

Nothing is known of a study's variances before its first run, so they are supposed: those of the null tables on which
the tools are calibrated (benchmarks/calibrate.py, scenario "both"), where the change varies with a standard deviation
of 1 point between seeds, 1.5 between languages and 1 in what is left of a cell. Scores of one arm are supposed to vary
over seeds likewise. An answer goes by the variances that the study turned out to have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import ceil

import numpy as np

from xstilts.analysis.statistics.estimate import detectable
from xstilts.analysis.statistics.families import members
from xstilts.analysis.statistics.least_design import (
    MIN_LANGUAGES,
    MIN_PERMUTATIONS,
    MIN_SEEDS,
    MIN_SEEDS_OF_SPREAD,
    MIN_TASKS,
)
from xstilts.analysis.statistics.planning import VarianceComponents, detectable_effect, languages_needed, seeds_needed
from xstilts.analysis.statistics.similarity import num_permutations
from xstilts.analysis.statistics.spread import spread_ratio
from xstilts.analysis.statistics.task_regression import detectable_r, smallest_callable_r
from xstilts.config.question import Question
from xstilts.config.slope import Slope
from xstilts.tasks.languages import find_language

SEED_SD, LANGUAGE_SD, CELL_SD = 1.0, 1.5, 1.0
"""Points."""
_NUMBERS_OF_SEEDS = (6, 8, 10, 12, 15, 20, 25, 30)
"""That are tried for a spread."""
_MORE_SEEDS = (10, 20, 40)
"""That are tried where languages must be added: the least product of both is told."""


def describe_design(question: Question, scored: Mapping[str, Sequence[str]], num_seeds: int) -> list[str]:
    """Lines to read: the question, what this many seeds can find, what the smallest effect that matters takes.

    `scored`: target -> languages, of the study.
    """
    cells = question.cells(scored)
    languages = list(dict.fromkeys(key for keys in cells.values() for key in keys))
    # The level at which the first of Holm's steps is taken: the others are easier.
    level = 1 - 0.05 / (len(question.contrasts) + len(question.slopes))
    contrasts = ", ".join(f"{name} {each.arm} - {each.against}" for name, each in question.contrasts.items())
    of = f"{', '.join(cells)}; {_count(num_seeds, 'seed')}, {_count(len(languages), 'language')}"
    if question.slopes:
        slopes = ", ".join(f"{name} {each.of}, {len(each.arms)} tasks" for name, each in question.slopes.items())
        told = [line for each in question.slopes.values() for line in _slope(each, languages, num_seeds, level)]
        return [f"Question: {question.ask}", f"Slopes: {slopes}; on {of}.", *dict.fromkeys(told)]
    of_what = "mean less that in English" if question.analysis == "beyond_english" else question.analysis
    lines = [f"Question: {question.ask}", f"Contrasts of the {of_what}: {contrasts}; on {of}."]
    if question.analysis == "spread":
        return lines + _spread(question.matters, num_seeds, sum(map(len, cells.values())), level)
    if question.estimand == "these_languages":
        return lines + _these_languages(question.matters, num_seeds, len(languages), level)
    return lines + _languages_like_these(question.matters, num_seeds, languages, level)


def _these_languages(matters: float, num_seeds: int, num_languages: int, level: float) -> list[str]:
    components = VarianceComponents(SEED_SD**2 + CELL_SD**2 / num_languages, 0.0, 0.0)
    takes = seeds_needed(matters, components, 1, level=level)
    supposed = f"the change varies by {SEED_SD:g} point between seeds and {CELL_SD:g} in a cell (SD)"
    return [
        _found(num_seeds, MIN_SEEDS, components, 1, level, supposed),
        f"An effect of {matters:.2f} points in these languages takes {_number(takes, 'seed')}.",
    ]


def _languages_like_these(matters: float, num_seeds: int, languages: Sequence[str], level: float) -> list[str]:
    families = members([find_language(key).family for key in languages])
    num_units = len(families)
    unit, units = ("language", "languages") if num_units == len(languages) else ("family", "families")
    if num_units < MIN_LANGUAGES:
        return [
            f"No verdict on languages like these from {num_units} {unit if num_units == 1 else units}: it takes "
            f"{MIN_LANGUAGES}."
        ]
    # The mean of a family's languages has less error in a cell; families vary as languages do.
    components = VarianceComponents(SEED_SD**2, LANGUAGE_SD**2, CELL_SD**2 * num_units / len(languages))
    supposed = (
        f"the change varies by {SEED_SD:g} point between seeds, {LANGUAGE_SD:g} between {units} and {CELL_SD:g} in a "
        "cell (SD)"
    )
    takes = seeds_needed(matters, components, num_units, level=level)
    last = f"An effect of {matters:.2f} points in languages like these takes"
    if takes is not None:
        last = f"{last} {_count(takes, 'seed')} in these {num_units} {units}."
    else:
        sizes = [(n, languages_needed(matters, components, n, level=level)) for n in (*_MORE_SEEDS, num_seeds)]
        possible = [(n, more) for n, more in sizes if more is not None and n >= MIN_SEEDS]
        design = min(possible, key=lambda size: size[0] * size[1], default=None)
        which = f"about {design[1]:,} with {design[0]} seeds" if design else "more than 10,000"
        last = f"{last} more {units} than these {num_units}, with any number of seeds: {which}."
    return [_found(num_seeds, MIN_SEEDS, components, num_units, level, supposed), last]


def _found(
    num_seeds: int, least: int, components: VarianceComponents, num_units: int, level: float, supposed: str
) -> str:
    if num_seeds < least:
        return f"No verdict from {_count(num_seeds, 'seed')}: it takes {least}. Supposed: {supposed}."
    found = detectable_effect(components, num_seeds, num_units, level=level)
    return f"It finds {found:.2f} points four times in five, supposing that {supposed}."


def _spread(matters: float, num_seeds: int, num_columns: int, level: float) -> list[str]:
    supposed = f"scores vary by {SEED_SD:g} point between seeds and {CELL_SD:g} in a cell (SD)"
    if num_seeds < MIN_SEEDS_OF_SPREAD:
        first = f"No verdict from {_count(num_seeds, 'seed')}: it takes {MIN_SEEDS_OF_SPREAD}. Supposed: {supposed}."
    else:
        found = detectable_ratio(num_seeds, num_columns, level)
        first = f"It finds a ratio of {found:.1f} four times in five, supposing that {supposed}."
    enough = (n for n in _NUMBERS_OF_SEEDS if detectable_ratio(n, num_columns, level) <= matters)
    takes = next(enough, None)
    number = f"about {takes}" if takes else f"more than {_NUMBERS_OF_SEEDS[-1]}"
    return [first, f"A ratio of {matters:g} takes {number} seeds of each arm."]


@cache
def detectable_ratio(num_seeds: int, num_columns: int, level: float = 0.95, *, num_tables: int = 100) -> float:
    """The ratio of spreads that this many seeds of each arm find: the median over simulated tables without any."""
    draw = np.random.default_rng(0).standard_normal
    arm, baseline = (
        SEED_SD * draw((num_tables, num_seeds, 1)) + CELL_SD * draw((num_tables, num_seeds, num_columns))
        for _ in range(2)
    )
    return float(np.median(detectable(spread_ratio(arm, baseline, num_random=999), level)))


def _slope(slope: Slope, languages: Sequence[str], num_seeds: int, level: float) -> list[str]:
    """What a slope is, is known once its points are: what it cannot be without is known before."""
    lines = [] if num_seeds >= MIN_SEEDS else [f"No verdict from {_count(num_seeds, 'seed')}: it takes {MIN_SEEDS}."]
    num_tasks = len(slope.arms)
    if slope.by_language is None:
        if num_tasks < MIN_TASKS:
            return [*lines, f"No verdict on tasks like these from {_count(num_tasks, 'task')}: it takes {MIN_TASKS}."]
        called, found = smallest_callable_r(num_tasks, level), detectable_r(num_tasks, level)
        return [
            *lines,
            f"{num_tasks} tasks call a correlation of {called:.2f} and more; they find one of {found:.2f} among all "
            "such tasks four times in five.",
        ]
    measured = [key for key in languages if all(key in values for values in slope.by_language.values())]
    orders = num_permutations([find_language(key).family for key in measured])
    told = f"{_count(len(measured), 'language')} can be permuted within families in {orders:,} ways"
    # Of two sides, an interval of the level leaves at least one permutation out.
    needed = max(MIN_PERMUTATIONS, ceil(2 / (1 - level)))
    return [*lines, f"{told}: {'enough' if orders >= needed else f'no verdict, it takes {needed}'}."]


def _number(number: int | None, noun: str) -> str:
    return f"more than 10,000 {noun}s" if number is None else _count(number, noun)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
