"""Simulated tables without an effect, over the grid on which the tools are calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xstilts.analysis.statistics.estimate import Array

SEEDS = (3, 5, 10, 20)
LANGUAGES = (4, 6, 20)
FAMILIES = {4: "aabc", 6: "aaabbc", 20: "aaaaaaaabbbbbcccddef"}
"""The families of the languages, by their number: unequal, as they are."""
COLLAPSE = 20.0
"""Points that a collapsed run loses; the standard deviation in a cell is 1."""


@dataclass(frozen=True)
class Scenario:
    """Where the changes vary. Standard deviations are in units of that of a cell."""

    name: str
    seed_sd: float = 0.0
    language_sd: float = 0.0
    heavy_tails: bool = False
    """Student's t with 3 df, scaled to the standard deviation, for every effect."""
    collapse_rate: float = 0.0
    """Of runs, in each arm."""
    families: bool = False
    """Half of the variance of languages, and of cells, is shared by a family's languages."""


SCENARIOS = (
    Scenario("none"),
    Scenario("seeds", seed_sd=1.0),
    Scenario("languages", language_sd=1.5),
    Scenario("both", seed_sd=1.0, language_sd=1.5),
    Scenario("both, t3 tails", seed_sd=1.0, language_sd=1.5, heavy_tails=True),
    Scenario("both, 5 % collapses", seed_sd=1.0, language_sd=1.5, collapse_rate=0.05),
    Scenario("both, families", seed_sd=1.0, language_sd=1.5, families=True),
)


@dataclass(frozen=True)
class Effects:
    """Simulated tables: `seeds` [n, S, 1], `languages` [n, 1, L], `cells` [n, S, L], `collapsed` [n, S]."""

    seeds: Array
    languages: Array
    cells: Array
    collapsed: NDArray[np.bool_]

    def arm(self) -> Array:
        """Scores of an arm [n, S, L] about an unknown level: a collapsed run falls in all languages."""
        return self.seeds + self.languages + self.cells - COLLAPSE * self.collapsed[..., None]


def simulate(scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int) -> Effects:
    """`n` tables of a scenario."""

    def normal(*shape: int) -> Array:
        if scenario.heavy_tails:
            return generator.standard_t(3, size=shape) / 3**0.5
        return generator.standard_normal(shape)

    def by_language(rows: int) -> Array:
        own = normal(n, rows, num_languages)
        if not scenario.families:
            return own
        places = np.unique(list(FAMILIES[num_languages]), return_inverse=True)[1]
        shared = normal(n, rows, places.max() + 1)[..., places]
        return (own + shared) * 0.5**0.5

    return Effects(
        scenario.seed_sd * normal(n, num_seeds, 1),
        scenario.language_sd * by_language(1),
        by_language(num_seeds),
        generator.random((n, num_seeds)) < scenario.collapse_rate,
    )
