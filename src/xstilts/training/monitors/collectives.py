"""The time that a rank spends in DeepSpeed's collectives: exchanging tensors, and waiting for the others to come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import torch
from deepspeed.comm import comm

from xstilts.distributed import dist

_NAMES = (
    "all_reduce",
    "all_reduce_coalesced",
    "reduce",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_coalesced",
    "broadcast",
    "barrier",
)


class CollectiveClock:
    """Measures while its context lasts.

    On CUDA a collective's time is that by which it holds up the stream it was called from, so what overlaps with
    computation on another stream is counted too.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._pending: deque[tuple[torch.cuda.Event, torch.cuda.Event]] = deque()
        self._cuda = dist.device().type == "cuda"

    def __enter__(self) -> Self:
        for name in _NAMES:
            setattr(comm.cdb, name, self._measured(getattr(comm.cdb, name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in _NAMES:
            delattr(comm.cdb, name)

    def take(self) -> float:
        """Seconds since the last call; on CUDA, of the collectives that have ended."""
        while self._pending and self._pending[0][1].query():
            begin, end = self._pending.popleft()
            self._seconds += begin.elapsed_time(end) / 1000
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Counts what happens within as a collective."""
        if self._cuda:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            yield
            end.record()
            self._pending.append((begin, end))
        else:
            begun = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - begun

    def _measured(self, collective: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self.measure():
                handle = collective(*arguments, **options)
            return None if handle is None else _Handle(handle, self)

        return call


class _Handle:
    """A started collective, whose `wait` is measured."""

    def __init__(self, handle: Any, clock: CollectiveClock) -> None:
        self._handle = handle
        self._clock = clock

    def wait(self, *arguments: Any, **options: Any) -> Any:
        with self._clock.measure():
            return self._handle.wait(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handle, name)
