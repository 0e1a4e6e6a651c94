"""All that watches a stage while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from xstilts.config.runtime import Runtime
from xstilts.core.display import Display
from xstilts.training.checkpoint.format import Progress
from xstilts.training.job import Folders, Job
from xstilts.training.monitors.collectives import CollectiveClock
from xstilts.training.monitors.health import Health
from xstilts.training.monitors.preemption import Preemption
from xstilts.training.monitors.tracking import Tracker


@dataclass(frozen=True)
class Monitors:
    """What a step reports to, and asks."""

    tracker: Tracker
    health: Health
    preemption: Preemption
    collectives: CollectiveClock


@contextmanager
def watching(job: Job, runtime: Runtime, folders: Folders, progress: Progress, display: Display) -> Iterator[Monitors]:
    """Watches while its context lasts, from where the stage stands on."""
    health = Health(runtime.on_nonfinite, runtime.max_skips, progress.extra.get("health", {}))
    with (
        Tracker(job, folders, runtime, progress, display) as tracker,
        Preemption() as preemption,
        CollectiveClock() as collectives,
    ):
        yield Monitors(tracker, health, preemption, collectives)
