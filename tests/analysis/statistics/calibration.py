"""How often a tool calls a null, misses the truth, and finds the effect that it prints as detectable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from nulls import FAMILIES, Scenario, simulate
from numpy.typing import NDArray

from xstilts.analysis.statistics.estimate import Array, Estimate, Scale, detectable
from xstilts.analysis.statistics.families import family_means, members
from xstilts.analysis.statistics.least_design import MIN_LANGUAGES, MIN_PERMUTATIONS, MIN_SEEDS, MIN_SEEDS_OF_SPREAD
from xstilts.analysis.statistics.mean import crossed_mean, seed_mean
from xstilts.analysis.statistics.sign_flip import sign_flip_mean
from xstilts.analysis.statistics.similarity import num_permutations, similarity_slope
from xstilts.analysis.statistics.spread import spread_ratio
from xstilts.analysis.statistics.task_regression import task_slope

NUM_TASKS = 9
_NUM_RANDOM = 999


@dataclass(frozen=True)
class Rates:
    """Shares of simulated tables."""

    verdicts: float
    """Tables on which the tool may give a verdict."""
    false_alarms: float
    """Called though there is no effect; of all tables."""
    coverage: float
    """Intervals that hold the truth; of all tables with an interval, whether a verdict may be given or not."""
    power: float
    """Tables that call the effect that they print as detectable, once it is added; of tables with a verdict."""


@dataclass(frozen=True)
class Part:
    """Estimates of some of the tables, whose true effect is known."""

    estimate: Estimate
    truth: Array
    allowed: bool
    """May a verdict be given?"""


Tool = Callable[[Scenario, np.random.Generator, int, int, int], Iterator[Part]]
"""(scenario, generator, tables, seeds, languages) -> the estimates."""


def measure(tool: Tool, scenario: Scenario, n: int, num_seeds: int, num_languages: int, *, seed: int = 0) -> Rates:
    """The rates of a tool at a point of the grid."""
    generator = np.random.default_rng([seed, num_seeds, num_languages, *scenario.name.encode()])
    counts = np.zeros(5)
    for part in tool(scenario, generator, n, num_seeds, num_languages):
        low, high = part.estimate.interval()
        missed = (low > part.truth) | (high < part.truth)
        effect = detectable(part.estimate)
        effect = np.where(np.isfinite(effect), effect, part.estimate.scale.value)
        lifted = low * effect if part.estimate.scale is Scale.RATIO else low + effect
        found = lifted > part.truth
        counts += [len(low), missed.sum(), *(part.allowed * x for x in (len(low), missed.sum(), found.sum()))]
    tables, num_missed, num_allowed, num_called, num_found = counts
    return Rates(num_allowed / n, num_called / n, 1 - num_missed / tables, num_found / max(num_allowed, 1))


def these_languages(over_seeds: Callable[[Array], Estimate]) -> Tool:
    """A mean over seeds; what the languages add to it on average is part of the truth."""

    def tool(scenario: Scenario, generator: np.random.Generator, n: int, s: int, num_languages: int) -> Iterator[Part]:
        for changes, languages in _changes(scenario, generator, n, s, num_languages):
            kept = changes.shape[1]
            enough = kept >= (MIN_SEEDS if over_seeds is seed_mean else MIN_SEEDS + 1)
            yield Part(over_seeds(changes), languages.mean(axis=(1, 2)), enough)

    return tool


def languages_like_these(
    scenario: Scenario, generator: np.random.Generator, n: int, s: int, num_languages: int
) -> Iterator[Part]:
    for changes, _ in _changes(scenario, generator, n, s, num_languages):
        by_family = family_means(changes, _families(scenario, num_languages))
        enough = changes.shape[1] >= MIN_SEEDS and by_family.shape[2] >= MIN_LANGUAGES
        yield Part(crossed_mean(by_family), np.zeros(len(changes)), enough)


def beyond_english(like_these: bool) -> Tool:
    """A mean of changes less that in English, a language of its own that is never drawn anew: its effect is part of the
    truth, what its seeds and cells add is an effect of seeds."""

    def tool(scenario: Scenario, generator: np.random.Generator, n: int, s: int, num_languages: int) -> Iterator[Part]:
        effects = simulate(scenario, generator, n, s, num_languages)
        english = simulate(replace(scenario, families=False), generator, n, s, 1)
        gone = _pair_collapsed(effects.collapsed, scenario, generator)
        changes = effects.languages + effects.cells - english.languages - english.cells
        families = _families(scenario, num_languages)
        for kept in range(2, s + 1):
            chosen = (~gone).sum(axis=1) == kept
            if not chosen.any():
                continue
            values, truth = _kept(changes[chosen], gone[chosen]), -english.languages[chosen][:, 0, 0]
            if like_these:
                by_family = family_means(values, families)
                enough = kept >= MIN_SEEDS and by_family.shape[2] >= MIN_LANGUAGES
                yield Part(crossed_mean(by_family), truth, enough)
            else:
                in_these = effects.languages[chosen].mean(axis=(1, 2))
                yield Part(seed_mean(values), truth + in_these, kept >= MIN_SEEDS)

    return tool


def spread(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> Iterator[Part]:
    arm, baseline = (simulate(scenario, generator, n, num_seeds, num_languages) for _ in range(2))
    num_kept = (~arm.collapsed).sum(axis=1), (~baseline.collapsed).sum(axis=1)
    for mine, base in sorted(set(zip(*(kept.tolist() for kept in num_kept), strict=True))):
        if min(mine, base) < 2:
            continue
        chosen = (num_kept[0] == mine) & (num_kept[1] == base)
        scores = [_kept(x.arm()[chosen], x.collapsed[chosen]) for x in (arm, baseline)]
        estimate = spread_ratio(*scores, num_random=_NUM_RANDOM)
        yield Part(estimate, np.ones(chosen.sum()), min(mine, base) >= MIN_SEEDS_OF_SPREAD)


def slope_over_tasks(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> Iterator[Part]:
    means, fewest = task_means(scenario, generator, n, num_seeds, num_languages)
    estimate = task_slope(means.mean(axis=2), generator.standard_normal(NUM_TASKS))
    for enough in (False, True):
        chosen = (fewest >= MIN_SEEDS) == enough
        part = type(estimate)(estimate.effect[chosen], estimate.standard_error[chosen], estimate.df[chosen])
        yield Part(part, np.zeros(chosen.sum()), enough)


def slope_on_similarity(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> Iterator[Part]:
    means, fewest = task_means(scenario, generator, n, num_seeds, num_languages)
    # Similar to whatever the family is similar to, and varying by task and language besides.
    similarity = simulate(scenario, generator, 1, NUM_TASKS, num_languages).cells[0]
    similarity = similarity + generator.standard_normal((NUM_TASKS, 1)) + generator.standard_normal(num_languages)
    families = _families(scenario, num_languages) if scenario.families else "a" * num_languages
    for enough in {bool(x) for x in fewest >= MIN_SEEDS}:
        chosen = (fewest >= MIN_SEEDS) == enough
        estimate = similarity_slope(means[chosen], similarity, families, num_random=_NUM_RANDOM)
        allowed = enough and num_permutations(families) >= MIN_PERMUTATIONS
        yield Part(estimate, np.zeros(chosen.sum()), allowed)


def task_means(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> tuple[Array, NDArray[np.int_]]:
    """Mean changes [n, tasks, languages] of tasks that differ by more than chance, and the fewest seeds of a task."""
    task_effects = simulate(scenario, generator, n, NUM_TASKS, 1 if not scenario.families else num_languages)
    means, fewest = [], np.full(n, num_seeds)
    for task in range(NUM_TASKS):
        effects = simulate(scenario, generator, n, num_seeds, num_languages)
        kept = ~_pair_collapsed(effects.collapsed, scenario, generator)
        values = effects.seeds + effects.languages + effects.cells
        count = kept.sum(axis=1)
        mean = (values * kept[..., None]).sum(axis=1) / np.maximum(count, 1)[:, None]
        means.append(mean + task_effects.cells[:, task, :1])
        fewest = np.minimum(fewest, count)
    return np.stack(means, axis=1), fewest


def _changes(
    scenario: Scenario, generator: np.random.Generator, n: int, num_seeds: int, num_languages: int
) -> Iterator[tuple[Array, Array]]:
    """Changes [some, kept seeds, L] and their language effects; collapsed pairs are left out, as the tools ask."""
    effects = simulate(scenario, generator, n, num_seeds, num_languages)
    gone = _pair_collapsed(effects.collapsed, scenario, generator)
    changes = effects.seeds + effects.languages + effects.cells
    num_kept = (~gone).sum(axis=1)
    for kept in range(2, num_seeds + 1):
        chosen = num_kept == kept
        if chosen.any():
            yield _kept(changes[chosen], gone[chosen]), effects.languages[chosen]


def _pair_collapsed(arm: NDArray[np.bool_], scenario: Scenario, generator: np.random.Generator) -> NDArray[np.bool_]:
    return arm | (generator.random(arm.shape) < scenario.collapse_rate)


def _kept(values: Array, gone: NDArray[np.bool_]) -> Array:
    """Rows [n, S, L] without those that are gone, of which every table has as many."""
    num_kept = int((~gone[0]).sum())
    order = np.argsort(gone, axis=1, kind="stable")[:, :num_kept]
    return np.take_along_axis(values, order[..., None], axis=1)


def _families(scenario: Scenario, num_languages: int) -> str:
    families = FAMILIES[num_languages] if scenario.families else "abcdefghijklmnopqrst"[:num_languages]
    assert len(members(families)) <= num_languages
    return families


TOOLS: dict[str, Tool] = {
    "mean in these languages: t over seeds": these_languages(seed_mean),
    "mean in these languages: sign flip over seeds": these_languages(
        lambda changes: sign_flip_mean(changes, num_random=_NUM_RANDOM)
    ),
    "mean in languages like these: crossed random effects": languages_like_these,
    "change less that in English, these languages: t over seeds": beyond_english(False),
    "change less that in English, languages like these: crossed random effects": beyond_english(True),
    "ratio of spreads: seeds permuted between arms": spread,
    f"slope over {NUM_TASKS} task means": slope_over_tasks,
    "slope on similarity: languages permuted within families": slope_on_similarity,
}
