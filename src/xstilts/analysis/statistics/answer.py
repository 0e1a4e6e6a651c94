"""From an effect to an answer: what may be said of it at its level, and what it would take to say more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil, isfinite, log

from xstilts.analysis.statistics.estimate import Estimate, Scale, detectable
from xstilts.analysis.statistics.holm import holm_levels


class Estimand(Enum):
    """What the effect is an effect on."""

    THESE_WEIGHTS = "with these weights"
    THESE_LANGUAGES = "in these languages"
    LANGUAGES_LIKE_THESE = "in languages like these"
    TASKS_LIKE_THESE = "for tasks like these"


class Verdict(Enum):
    YES = "yes"
    """The interval excludes no effect."""
    NO_LARGER = "no larger"
    """The interval lies within the smallest effect that matters, on both sides."""
    CANNOT_TELL = "cannot tell"
    NOT_YET = "cannot tell yet"
    """The study is unfinished: a test that is looked at after each seed, until it calls, calls many a null."""


class Unit(Enum):
    SEEDS = "seeds"
    LANGUAGES = "languages"
    FAMILIES = "language families"
    TASKS = "tasks"


@dataclass(frozen=True)
class Remedy:
    """What a study that cannot tell lacks."""

    unit: Unit
    more: int | None
    """How many more; None where only so much is known that it takes more."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one contrast, before it is judged at a level."""

    name: str
    measure: str
    """The unit of the effect, e.g. `points`."""
    estimand: Estimand
    estimate: Estimate
    """Of a single contrast: without leading axes."""
    matters: float
    """The smallest effect that matters, > 0; of a ratio > 1."""
    num_seeds: int
    num_languages: int
    remedy: Callable[[float], Remedy]
    """Level -> what it takes to call the smallest effect that matters."""
    lacking: Remedy | None = None
    """What the least design for a verdict has more of; None where it is reached."""
    unfinished: tuple[int, int] | None = None
    """Of a study that is not whole yet, how many seeds are and how many it is to have."""
    beside: tuple[str, ...] = ()
    """Sentences without a verdict that belong to it: what it is without each family, how well it predicts."""
    set_aside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.matters > self.estimate.scale.value


@dataclass(frozen=True)
class Answer:
    """All that an answer must say; no part of it stands alone."""

    name: str
    measure: str
    estimand: Estimand
    scale: Scale
    effect: float
    interval: tuple[float, float]
    level: float
    """Of the interval and the verdict: above 0.95 where Holm's procedure asks for it."""
    p_value: float
    num_seeds: int
    num_languages: int
    detectable: float
    """The effect that the design calls four times in five."""
    matters: float
    verdict: Verdict
    remedy: Remedy | None
    """Given exactly where the verdict is `CANNOT_TELL`."""
    unfinished: tuple[int, int] | None
    """Given exactly where it is `NOT_YET`: seeds that are done, seeds planned."""
    beside: tuple[str, ...]
    set_aside: tuple[str, ...]

    @property
    def excludes_no_effect(self) -> bool:
        low, high = self.interval
        return low > self.scale.value or high < self.scale.value


def judge(finding: Finding, level: float = 0.95) -> Answer:
    """The answer of a single contrast.

    An effect that is there and too small to matter is `NO_LARGER`. The least design comes first, and that all planned
    seeds are there: without them the interval is shown and nothing is said.
    """
    estimate = finding.estimate
    low, high = (float(end) for end in estimate.interval(level))
    within = _within(low, high, finding.matters, estimate.scale)
    excluded = low > estimate.scale.value or high < estimate.scale.value
    remedy = None
    if finding.unfinished:
        verdict = Verdict.NOT_YET
    elif finding.lacking:
        verdict, remedy = Verdict.CANNOT_TELL, _larger(finding.lacking, finding.remedy(level))
    elif within:
        verdict = Verdict.NO_LARGER
    elif excluded:
        verdict = Verdict.YES
    else:
        verdict, remedy = Verdict.CANNOT_TELL, finding.remedy(level)
    return Answer(
        name=finding.name,
        measure=finding.measure,
        estimand=finding.estimand,
        scale=estimate.scale,
        effect=float(estimate.effect),
        interval=(low, high),
        level=level,
        p_value=float(estimate.p_value()),
        num_seeds=finding.num_seeds,
        num_languages=finding.num_languages,
        detectable=float(detectable(estimate, level)),
        matters=finding.matters,
        verdict=verdict,
        remedy=remedy,
        unfinished=finding.unfinished,
        beside=finding.beside,
        set_aside=finding.set_aside,
    )


def judge_primary(findings: Sequence[Finding], alpha: float = 0.05, *, num_open: int = 0) -> list[Answer]:
    """The answers of a study's primary contrasts, all of them, in order: false alarms in any of them stay at alpha.

    `num_open` more contrasts have no finding yet; they, and unfinished ones, are counted as if nothing could be said of
    them.
    """
    known = [1.0 if finding.unfinished else float(finding.estimate.p_value()) for finding in findings]
    levels = holm_levels([*known, *[1.0] * num_open], alpha)
    return [judge(finding, level) for finding, level in zip(findings, levels[: len(findings)], strict=True)]


def scaled_up(num_units: int, estimate: Estimate, matters: float, level: float) -> int | None:
    """How many more units call the smallest effect that matters, if errors shrink with the root of their number."""
    found = float(detectable(estimate, level))
    if not isfinite(found):
        return None
    ratio = found / matters if estimate.scale is Scale.DIFFERENCE else log(found) / log(matters)
    return max(1, ceil(num_units * (ratio**2 - 1)))


def _within(low: float, high: float, matters: float, scale: Scale) -> bool:
    smallest = -matters if scale is Scale.DIFFERENCE else 1 / matters
    return smallest < low and high < matters


def _larger(first: Remedy, second: Remedy) -> Remedy:
    """The first, with the number of the second where both ask for the same and that is more."""
    if first.unit is not second.unit or first.more is None:
        return first
    return first if second.more is not None and second.more <= first.more else second
