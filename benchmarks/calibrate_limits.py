"""What the grid does not ask: planned effects, wrong bounds, several contrasts, and what breaks a tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import page
from nulls import COLLAPSE, LANGUAGES, SCENARIOS, Scenario, simulate

from xstilts.analysis.statistics.estimate import Array, Estimate, detectable
from xstilts.analysis.statistics.families import family_means
from xstilts.analysis.statistics.holm import holm_levels
from xstilts.analysis.statistics.items import item_bootstrap
from xstilts.analysis.statistics.mean import crossed_mean, seed_mean
from xstilts.analysis.statistics.planning import VarianceComponents, detectable_effect, power, seeds_needed
from xstilts.analysis.statistics.spread import spread_ratio

NONE, SEEDS, LANGUAGE, BOTH, TAILS, _, FAMILIES = SCENARIOS
SIZES = [(num_seeds, num_languages) for num_seeds in (5, 10, 20) for num_languages in LANGUAGES]
LARGE_FAMILY = "a" * 17 + "bcd"
NUM_PILOTS = 200


def show(n: int) -> None:
    """Prints the sections, from `n` tables a point."""
    planned(n)
    planned_from_a_pilot()
    adverse(n)
    items(min(n, 1000))


def planned(n: int) -> None:
    """Power at effects planned from the true standard deviations, and bounds stated wrongly at those effects."""
    print("## Effects planned before the run\n")
    print(
        "Power of new tables at the effect that `planning.detectable_effect` gives for the true standard deviations, "
        "least and most over 5, 10, 20 seeds x 4, 6, 20 languages; and how often *no larger than X* is said of an "
        "effect of exactly X, twice that effect.\n"
    )
    rows = []
    for scenario in (NONE, SEEDS, LANGUAGE, BOTH, TAILS):
        for estimand in ("these languages", "languages like these"):
            points = [_planned(scenario, estimand, n, *size) for size in SIZES]
            found, wrong = zip(*points, strict=True)
            rows.append([scenario.name, estimand, f"{min(found):.2f} to {max(found):.2f}", f"{100 * max(wrong):.1f} %"])
    page.table(["scenario", "estimand", "power", "wrong bounds, most"], rows)


def _planned(scenario: Scenario, estimand: str, n: int, num_seeds: int, num_languages: int) -> tuple[float, float]:
    effects = simulate(scenario, _generator(1, num_seeds, num_languages), n, num_seeds, num_languages)
    seed, language = scenario.seed_sd**2, scenario.language_sd**2
    estimate: Estimate
    if estimand == "these languages":
        estimate = seed_mean(effects.seeds + effects.cells)
        effect = detectable_effect(VarianceComponents(seed + 1 / num_languages, 0.0, 0.0), num_seeds, 1)
    else:
        estimate = crossed_mean(effects.seeds + effects.languages + effects.cells)
        effect = detectable_effect(VarianceComponents(seed, language, 1.0), num_seeds, num_languages)
    low, high = estimate.interval()
    called = (low + effect > 0) | (high + effect < 0)
    bound = 2 * effect
    wrong = (low + bound > -bound) & (high + bound < bound)
    return float(called.mean()), float(wrong.mean())


def planned_from_a_pilot() -> None:
    """True power of the number of seeds that a small study asks for."""
    print("## Seeds asked for by a pilot\n")
    print(
        f"A pilot's standard deviations are estimates. {NUM_PILOTS} pilots of the scenario *both* in 20 languages ask "
        "for the seeds that call an effect of 1.3 in languages like these; this is the power that they then have.\n"
    )
    truth = VarianceComponents(1.0, 2.25, 1.0)
    rows = []
    for num_seeds in (3, 5, 10, 20):
        effects = simulate(BOTH, _generator(2, num_seeds), NUM_PILOTS, num_seeds, 20)
        asked = [
            seeds_needed(1.3, VarianceComponents.of(changes), 20)
            for changes in effects.seeds + effects.languages + effects.cells
        ]
        enough = [number for number in asked if number is not None]
        powers = [power(1.3, truth, number, 20, 0.95) for number in enough]
        rows.append(
            [
                num_seeds,
                "{:.0f}, {:.0f} to {:.0f}".format(*np.quantile(enough, [0.5, 0.1, 0.9])),
                f"{np.mean(powers):.2f}, {np.quantile(powers, 0.1):.2f} to {np.quantile(powers, 0.9):.2f}",
                f"{len(asked) - len(enough)} of {len(asked)}",
            ]
        )
    columns = ["seeds of the pilot", "seeds asked for: median, 10 to 90 %", "their power: mean, 10 to 90 %"]
    page.table([*columns, "pilots that ask for languages"], rows)
    print(f"The true standard deviations ask for {seeds_needed(1.3, truth, 20)} seeds.\n")


def adverse(n: int) -> None:
    """Error rates in cases beside the grid, and of tools used against their terms."""
    print("## Beside the grid\n\nNominal 5 %; at most, over 5, 10 and 20 seeds.\n")
    cases: list[tuple[str, Callable[[int, np.random.Generator, int], float]]] = [
        ("any of three contrasts against one baseline is called, Holm; 6 languages", _holm),
        ("the same without Holm", _without_holm),
        ("20 languages in families of 17 + 1 + 1 + 1, families as the unit", _large_family),
        ("the same, languages as the unit", _large_family_ignored),
        ("spread, when the arms share the effects of their seeds; 6 languages", _shared_seeds),
        ("mean missed when 5 % collapses of one arm are averaged in; 6 languages", _averaged_in),
    ]
    rows = [[name, f"{100 * max(case(n, _generator(3, s), s) for s in (5, 10, 20)):.1f} %"] for name, case in cases]
    page.table(["case", "errors"], rows)
    powers = []
    for scenario, num_languages in product((NONE, SEEDS, TAILS), LANGUAGES):
        arms = [simulate(scenario, _generator(5, num_languages, k), n, 5, num_languages).arm() for k in range(2)]
        ratio = spread_ratio(*arms)
        powers.append(float((ratio.interval()[0] * detectable(ratio) > 1).mean()))
    print(
        f"Five seeds call the ratio of spreads that they print as detectable with power {min(powers):.3f} to "
        f"{max(powers):.3f}; a verdict takes six.\n"
    )


def _three_p_values(n: int, generator: np.random.Generator, num_seeds: int) -> Array:
    arms = [simulate(replace(BOTH, language_sd=0.0), generator, n, num_seeds, 6).arm() for _ in range(4)]
    return np.stack([seed_mean(arm - arms[0]).p_value() for arm in arms[1:]], axis=1)


def _holm(n: int, generator: np.random.Generator, num_seeds: int) -> float:
    p_values = _three_p_values(n, generator, num_seeds)
    return float(np.mean([(row <= 1 - np.array(holm_levels(row))).any() for row in p_values]))


def _without_holm(n: int, generator: np.random.Generator, num_seeds: int) -> float:
    return float((_three_p_values(n, generator, num_seeds) <= 0.05).any(axis=1).mean())


def _in_a_large_family(n: int, generator: np.random.Generator, num_seeds: int) -> Array:
    family = np.unique(list(LARGE_FAMILY), return_inverse=True)[1]
    own, shared = (simulate(BOTH, generator, n, num_seeds, size) for size in (20, 4))
    languages = (own.languages + shared.languages[..., family]) * 0.5**0.5
    return own.seeds + languages + (own.cells + shared.cells[..., family]) * 0.5**0.5


def _large_family(n: int, generator: np.random.Generator, num_seeds: int) -> float:
    changes = family_means(_in_a_large_family(n, generator, num_seeds), LARGE_FAMILY)
    return float((crossed_mean(changes).p_value() <= 0.05).mean())


def _large_family_ignored(n: int, generator: np.random.Generator, num_seeds: int) -> float:
    return float((crossed_mean(_in_a_large_family(n, generator, num_seeds)).p_value() <= 0.05).mean())


def _shared_seeds(n: int, generator: np.random.Generator, num_seeds: int) -> float:
    arm, baseline = (simulate(SEEDS, generator, n, num_seeds, 6) for _ in range(2))
    ratio = spread_ratio(arm.seeds + arm.cells, arm.seeds + baseline.cells, num_random=999)
    return float((ratio.p_value() <= 0.05).mean())


def _averaged_in(n: int, generator: np.random.Generator, num_seeds: int) -> float:
    rate = 0.05
    low, high = seed_mean(simulate(replace(SEEDS, collapse_rate=rate), generator, n, num_seeds, 6).arm()).interval()
    return float(((low > -rate * COLLAPSE) | (high < -rate * COLLAPSE)).mean())


def items(n: int) -> None:
    """Coverage of the bootstrap over items."""
    print("## These weights: the bootstrap over test items\n")
    print(
        "Intervals, of no verdict, for a change of 4 points in accuracy: of all items 12 % are won and 8 % are lost.\n"
    )
    rows: list[list[object]] = []
    for num_items in (50, 100, 300, 1000):
        generator = _generator(4, num_items)
        held = []
        for _ in range(n):
            drawn = generator.random(num_items)
            right = [(drawn < 0.72), (drawn < 0.60) | (drawn > 0.92)]
            arm, baseline = (np.stack([x, np.ones(num_items)], axis=1)[None] for x in right)
            low, high = item_bootstrap(arm, baseline, _accuracy, num_resamples=999).interval()
            held.append(low <= 0.04 <= high)
        rows.append([num_items, f"{100 * np.mean(held):.1f} %"])
    page.table(["items", "coverage"], rows)


def _accuracy(sums: Array) -> Array:
    return sums[..., 0] / sums[..., 1]


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)
