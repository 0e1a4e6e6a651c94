"""The status of a run as lines that fit 80 columns."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence

from xstilts.study.status import StageStatus, Status
from xstilts.study.working import Held

_WIDTH = 80
_MOST_STAGES = 30
"""A study of hundreds shows those around the one that is trained."""


def describe_status(status: Status) -> str:
    """What runs where, how far it is, how long it takes; then a line per stage."""
    return "\n".join(_lines(status))


def duration(seconds: float) -> str:
    """`2 d 03:04` or `1:02:03`."""
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    return f"{days} d {hours:02d}:{rest // 60:02d}" if days else f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def _lines(status: Status) -> Iterator[str]:
    yield from _wrapped("", f"{status.name}: {status.title}")
    yield from _wrapped("state", _state(status))
    for host in [] if status.running else status.hosts:
        yield from _wrapped("where", host)
    num_done = sum(stage.state == "done" for stage in status.stages)
    if status.stages:
        yield from _wrapped("done", f"{num_done} of {len(status.stages)} stages, {_results(status)}")
    else:
        yield from _wrapped("done", f"{_results(status)}; run.json names no stages")
    for launch in status.launches:
        for host in launch.hosts:
            yield from _wrapped("where", host)
        for held in launch.holds:
            yield from _wrapped("now", _at(held, status.stages))
        if not launch.holds:
            yield from _wrapped("now", "starts, or waits for work of other launches")
    if status.seconds_left:
        yield from _wrapped("left", f"about {duration(status.seconds_left)} of the study")
    if status.last_event:
        yield from _wrapped("last", f"{_clock(status.last_time)} {status.last_event}")
    if status.stages:
        yield ""
        yield from _table(status)


def _state(status: Status) -> str:
    if not status.running:
        return f"not running; the last launch {status.end}"
    since = min((launch.since for launch in status.launches if launch.since), default=None)
    count = f"{len(status.launches)} launches" if len(status.launches) > 1 else ""
    return ", ".join(filter(None, ["running" if since is None else f"running since {_clock(since)}", count]))


def _at(held: Held, stages: Sequence[StageStatus]) -> str:
    if held.kind == "evaluation":
        return f"scoring {held.label}"
    trained = [stage for stage in stages if stage.id == held.key and stage.state == "training"]
    return _training(trained[0]) if trained else held.label


def _results(status: Status) -> str:
    return f"{status.num_results} of {status.num_expected} results"


def _training(stage: StageStatus) -> str:
    parts = [f"{stage.label} seed {stage.seed}, step {stage.step:,} of {stage.num_steps:,}"]
    if stage.loss is not None:
        parts.append(f"loss {stage.loss:.4f}")
    if stage.tokens_per_s is not None:
        parts.append(f"{stage.tokens_per_s:,.0f} tokens/s")
    if stage.seconds_left is not None:
        parts.append(f"about {duration(stage.seconds_left)} left")
    return ", ".join(parts)


def _table(status: Status) -> Iterator[str]:
    first, last = _shown(status)
    shown = status.stages[first:last]
    width = max(len("stage"), *(len(stage.label) for stage in shown))
    place = min(width, _WIDTH - 48)
    yield f"{'stage':<{place}}  {'seed':>5}  {'step':>17}  state"
    if first:
        yield f"  {first} more above"
    for stage in shown:
        saved = f", saved at {stage.saved_step:,}" if stage.state == "interrupted" and stage.saved_step else ""
        steps = f"{stage.step:,}/{stage.num_steps:,}"
        if len(stage.label) > place:  # whole on a line of its own
            yield stage.label
        label = stage.label if len(stage.label) <= place else ""
        yield f"{label:<{place}}  {stage.seed:>5}  {steps:>17}  {stage.state}{saved}"
    if last < len(status.stages):
        yield f"  {len(status.stages) - last} more below"


def _shown(status: Status) -> tuple[int, int]:
    """The stages that are listed: all, or those around the first that is not done."""
    count = len(status.stages)
    current = next((i for i, stage in enumerate(status.stages) if stage.state != "done"), count)
    first = max(0, min(current - _MOST_STAGES // 2, count - _MOST_STAGES))
    return first, min(count, first + _MOST_STAGES)


def _wrapped(label: str, text: str) -> list[str]:
    head = f"{label:<7}" if label else ""
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * 7, break_on_hyphens=False) or [head]


def _clock(moment: float) -> str:
    today = time.strftime("%Y-%m-%d", time.localtime()) == time.strftime("%Y-%m-%d", time.localtime(moment))
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", time.localtime(moment))
