"""What does an arm change in the mean?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from xstilts.analysis.statistics.answer import Estimand, Finding, Remedy, Unit
from xstilts.analysis.statistics.estimate import Array, Estimate
from xstilts.analysis.statistics.families import family_means, members
from xstilts.analysis.statistics.items import WidestOf
from xstilts.analysis.statistics.least_design import MIN_LANGUAGES, MIN_SEEDS
from xstilts.analysis.statistics.mean import crossed_mean, seed_mean
from xstilts.analysis.statistics.planning import VarianceComponents, languages_needed, seeds_needed
from xstilts.analysis.statistics.table import Table, complete_block
from xstilts.core.errors import UserError


def mean_finding(
    name: str,
    table: Table,
    *,
    estimand: Estimand,
    families: Mapping[str, str],
    matters: float,
    items: Estimate | None = None,
    over_seeds: Callable[[Array], Estimate] = seed_mean,
) -> Finding:
    """The mean change, in points.

    Args:
        estimand: `THESE_LANGUAGES` or `LANGUAGES_LIKE_THESE`; of a single seed it can only be `THESE_WEIGHTS`.
        families: language -> family; the unit of languages like these.
        matters: the smallest effect that matters, in points.
        items: the change with its error over test items: all there is with one seed, and the least error that is
            shown with fewer than five.
        over_seeds: `seed_mean` or `sign_flip_mean`, for these languages.

    Raises:
        UserError: there is one seed and no `items`, or languages like these are asked of a single family.
    """
    table = complete_block(table)
    num_seeds, num_languages = table.values.shape
    if num_seeds == 1:
        if items is None:
            raise UserError(f"{name}: one seed and no scores by item give no interval; run more `seeds`")
        lacking = Remedy(Unit.SEEDS, MIN_SEEDS - 1)
        return Finding(
            name=name,
            measure="points",
            estimand=Estimand.THESE_WEIGHTS,
            estimate=items,
            matters=matters,
            num_seeds=num_seeds,
            num_languages=num_languages,
            remedy=lambda level: lacking,
            lacking=lacking,
            set_aside=table.set_aside,
        )
    if estimand is Estimand.LANGUAGES_LIKE_THESE:
        finding = _languages_like_these(name, table, [families[language] for language in table.languages], matters)
    else:
        finding = _these_languages(name, table, over_seeds(table.values), matters)
    if num_seeds < MIN_SEEDS:
        estimate = finding.estimate if items is None else WidestOf(finding.estimate, items)
        lacking = finding.lacking or Remedy(Unit.SEEDS, MIN_SEEDS - num_seeds)
        return replace(finding, estimate=estimate, lacking=lacking)
    return finding


def _these_languages(name: str, table: Table, estimate: Estimate, matters: float) -> Finding:
    num_seeds, num_languages = table.values.shape
    over_seeds = VarianceComponents(float(table.values.mean(axis=1).var(ddof=1)), 0.0, 0.0)
    return Finding(
        name=name,
        measure="points",
        estimand=Estimand.THESE_LANGUAGES,
        estimate=estimate,
        matters=matters,
        num_seeds=num_seeds,
        num_languages=num_languages,
        remedy=lambda level: _remedy(matters, over_seeds, num_seeds, 1, Unit.SEEDS, level),
        set_aside=table.set_aside,
    )


def _languages_like_these(name: str, table: Table, families: list[str], matters: float) -> Finding:
    num_seeds, num_languages = table.values.shape
    num_families = len(members(families))
    if num_families == 1:
        raise UserError(f"{name}: one language family says nothing of languages like these; ask of `these languages`")
    unit = Unit.LANGUAGES if num_families == num_languages else Unit.FAMILIES
    changes = family_means(table.values, families)
    components = VarianceComponents.of(changes)
    set_aside = table.set_aside
    if unit is Unit.FAMILIES:
        set_aside += (f"The mean is over {num_families} language families, each counting once.",)
    return Finding(
        name=name,
        measure="points",
        estimand=Estimand.LANGUAGES_LIKE_THESE,
        estimate=crossed_mean(changes),
        matters=matters,
        num_seeds=num_seeds,
        num_languages=num_languages,
        remedy=lambda level: _remedy(matters, components, num_seeds, num_families, unit, level),
        lacking=Remedy(unit, MIN_LANGUAGES - num_families) if num_families < MIN_LANGUAGES else None,
        set_aside=set_aside,
    )


def _remedy(
    matters: float, components: VarianceComponents, num_seeds: int, num_units: int, unit: Unit, level: float
) -> Remedy:
    """What calls the smallest effect that matters four times in five.

    A design that already does, and could not tell all the same, is brought to an interval no wider than that effect,
    which always tells: that is the power of (1 + level) / 2.
    """
    for wanted in (0.8, (1 + level) / 2):
        seeds = seeds_needed(matters, components, num_units, level=level, wanted=wanted)
        if seeds is None and unit is Unit.SEEDS:
            return Remedy(unit, None)
        if seeds is None:
            languages = languages_needed(matters, components, num_seeds, level=level, wanted=wanted)
            return Remedy(unit, None if languages is None else max(1, languages - num_units))
        if seeds > num_seeds:
            return Remedy(Unit.SEEDS, seeds - num_seeds)
    return Remedy(Unit.SEEDS, 1)
