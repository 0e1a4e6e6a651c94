"""What does an arm change in the spread over seeds?"""

from __future__ import annotations

from xstilts.analysis.statistics.answer import Estimand, Finding, Remedy, Unit, scaled_up
from xstilts.analysis.statistics.least_design import MIN_SEEDS_OF_SPREAD
from xstilts.analysis.statistics.spread import deviations, spread_ratio
from xstilts.analysis.statistics.table import Table, complete_block
from xstilts.core.errors import UserError


def spread_finding(name: str, arm: Table, baseline: Table, *, matters: float) -> Finding:
    """The ratio of the arms' spreads over seeds, from tables of scores; `matters` > 1 is the smallest that matters.

    The arms may have other seeds, and other languages: each is centred by itself.

    Raises:
        UserError: an arm has a single seed, or does not vary at all.
    """
    arm, baseline = complete_block(arm), complete_block(baseline)
    num_seeds = min(len(arm.seeds), len(baseline.seeds))
    if num_seeds < 2 or not all(deviations(table.values).any() for table in (arm, baseline)):
        raise UserError(f"{name}: an arm does not vary over its seeds, so there is no ratio; run more `seeds`")
    estimate = spread_ratio(arm.values, baseline.values)
    num_lacking = MIN_SEEDS_OF_SPREAD - num_seeds
    return Finding(
        name=name,
        measure="times the spread over seeds",
        estimand=Estimand.THESE_LANGUAGES,
        estimate=estimate,
        matters=matters,
        num_seeds=num_seeds,
        num_languages=max(len(arm.languages), len(baseline.languages)),
        remedy=lambda level: Remedy(Unit.SEEDS, scaled_up(num_seeds, estimate, matters, level)),
        lacking=Remedy(Unit.SEEDS, num_lacking) if num_lacking > 0 else None,
        set_aside=tuple(dict.fromkeys((*arm.set_aside, *baseline.set_aside))),
    )
