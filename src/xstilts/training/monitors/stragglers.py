"""Which rank is slow: every rank's time, split into data, own computation, and waiting for the others, and its load."""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from xstilts.training.monitors.collectives import CollectiveClock


@dataclass(frozen=True)
class RankTime:
    """Mean seconds per step of one rank."""

    rank: int
    host: str
    step: float
    data: float
    """Waiting for its own data."""
    exchange: float
    """Exchanging with the other ranks and waiting for them; hardly anything on the rank that they wait for."""
    flops: float
    """Of its micro-batches, per step: some steps cannot be divided evenly."""
    memory: int = 0
    """Bytes at most held by tensors on its GPU; by its process, where it computes on a CPU."""

    @property
    def work(self) -> float:
        """What the rank itself takes; the longest sets everybody's pace."""
        return max(0.0, self.step - self.exchange)


class StepClock:
    """Adds up a rank's time over the steps since the last report."""

    def __init__(self, rank: int, host: str, collectives: CollectiveClock) -> None:
        self._rank = rank
        self._host = host
        self._collectives = collectives
        self.seconds = 0.0
        """Duration of the last step."""
        self._reset()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around one step, its data included."""
        self._collectives.take()
        begun = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - begun
        self._step += self.seconds
        self._exchange += self._collectives.take()
        self._num_steps += 1

    def load(self, flops: float) -> None:
        """What the rank has to compute in this step."""
        self._flops += flops

    @contextmanager
    def data(self) -> Iterator[None]:
        """Around the wait for the step's data."""
        begun = time.perf_counter()
        yield
        self._data += time.perf_counter() - begun

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Around the exchange of the step's sums, which is not DeepSpeed's."""
        begun = time.perf_counter()
        yield
        self._exchange += time.perf_counter() - begun

    def report(self) -> RankTime:
        """Means since the last report."""
        n = max(1, self._num_steps)
        step, data, exchange, flops = self._step / n, self._data / n, self._exchange / n, self._flops / n
        found = RankTime(self._rank, self._host, step, data, exchange, flops, _peak_memory())
        self._reset()
        return found

    def _reset(self) -> None:
        self._step = self._data = self._exchange = self._flops = 0.0
        self._num_steps = 0


def find_straggler(times: Sequence[RankTime], percent: float) -> str | None:
    """Says which rank takes more than `percent` longer for its own work than the median of the others, beyond what a
    larger load explains; None if none does."""
    if len(times) < 2:
        return None
    slowest = max(times, key=lambda time: _excess(time, times))
    excess = 100 * _excess(slowest, times)
    if excess <= percent:
        return None
    others = _median_work(slowest, times)
    return (
        f"rank {slowest.rank} ({slowest.host}) is {excess:.0f} % slower than the others: it works {slowest.work:.3f} s "
        f"per step against their {others:.3f} s, with {_load(slowest, times):.2f} times their load, "
        f"waiting for data in {slowest.data:.3f} s of them"
    )


def _excess(time: RankTime, times: Sequence[RankTime]) -> float:
    """By what factor less 1 the rank is slower than the median of the others."""
    work, load = _median_work(time, times), _load(time, times)
    return time.work / (work * max(1.0, load)) - 1 if work else 0.0


def _load(time: RankTime, times: Sequence[RankTime]) -> float:
    """How many times the median load of the others it has."""
    others = statistics.median(other.flops for other in times if other is not time)
    return time.flops / others if others else math.inf


def _median_work(time: RankTime, times: Sequence[RankTime]) -> float:
    return statistics.median(other.work for other in times if other is not time)


def scalars(times: Sequence[RankTime]) -> dict[str, float]:
    """For TensorBoard."""
    return {
        "time/step": max(time.step for time in times),
        "time/work_slowest": max(time.work for time in times),
        "time/work_median": statistics.median(time.work for time in times),
        "time/data_slowest": max(time.data for time in times),
        "time/exchange_mean": statistics.fmean(time.exchange for time in times),
        "time/exchange_share": statistics.fmean(time.exchange / time.step for time in times if time.step),
        "memory/peak_gib": max(time.memory for time in times) / 2**30,
    }


def _peak_memory() -> int:
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
