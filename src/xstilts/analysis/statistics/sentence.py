"""An answer in plain English, all of its parts in it."""

from __future__ import annotations

import math

from xstilts.analysis.statistics.answer import Answer, Remedy, Unit, Verdict
from xstilts.analysis.statistics.estimate import Scale


def render(answer: Answer) -> str:
    """One paragraph: verdict; effect, estimand, interval, p, seeds, languages; detectable effect; what stands
    beside it; what is not in it."""
    counts = f"{_count(answer.num_seeds, 'seed')}, {_count(answer.num_languages, 'language')}"
    parts = [
        f"{_verdict(answer)}.",
        f"{answer.name}: {_effect(answer, answer.effect)} {answer.estimand.value} "
        f"({_interval(answer)}, {_p(answer.p_value)}; {counts}).",
        _detectable(answer),
        *answer.beside,
        *answer.set_aside,
    ]
    return " ".join(parts)


def _verdict(answer: Answer) -> str:
    limit = _effect(answer, answer.matters, signed=False)
    if answer.verdict is Verdict.YES:
        return "Yes"
    if answer.verdict is Verdict.NO_LARGER:
        bounds = f"No larger than {limit}"
        return f"{bounds}, though there is a difference" if answer.excludes_no_effect else bounds
    if answer.unfinished is not None:
        done, planned = answer.unfinished
        return f"Cannot tell yet: {done} of {_count(planned, 'seed')} {'is' if done == 1 else 'are'} done"
    assert answer.remedy is not None
    return f"Cannot tell: {_remedy(answer.remedy)}"


def _remedy(remedy: Remedy) -> str:
    unit = remedy.unit.value
    text = f"more {unit}" if remedy.more is None else f"{_count(remedy.more, unit[:-1], 'more ')}"
    if remedy.unit is Unit.FAMILIES and remedy.more == 1:
        text = "1 more language family"
    return text if remedy.unit is Unit.SEEDS else f"{text}; seeds alone do not suffice"


def _interval(answer: Answer) -> str:
    percent = f"{100 * answer.level:.3g} %"
    low, high = answer.interval
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"so few permutations give no {percent} interval"
    return f"{percent} interval {_number(answer, low)} to {_number(answer, high)}"


def _detectable(answer: Answer) -> str:
    if not math.isfinite(answer.detectable):
        return "No effect, however large, would have been found."
    found = _effect(answer, answer.detectable, signed=False)
    return f"An effect of {found} would have been found four times in five."


def _effect(answer: Answer, value: float, *, signed: bool = True) -> str:
    return f"{_number(answer, value, signed=signed)} {answer.measure}"


def _number(answer: Answer, value: float, *, signed: bool = True) -> str:
    return f"{value:+.2f}" if signed and answer.scale is Scale.DIFFERENCE else f"{value:.2f}"


def _p(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _count(number: int, noun: str, more: str = "") -> str:
    return f"{number:,} {more}{noun}{'' if number == 1 else 's'}"
