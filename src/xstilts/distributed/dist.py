"""The process group as everything here uses it: a process of its own until `set_up` has joined one.

Imports no torch before that: what a single process reads, plans and reports need not wait for it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from xstilts.distributed import heartbeat

if TYPE_CHECKING:
    import torch

    from xstilts.distributed.process_group import ProcessGroup

T = TypeVar("T")

_POLL_SECONDS = 2.0

_ENDING = "xstilts/ending"


@dataclass(slots=True)
class _State:
    """The group of this process, and what it tells the other ranks of work under way."""

    group: ProcessGroup | None = None
    num_progress: int = 0
    """How often `progress` was called."""


_state = _State()
"""The only state of this module: a process is in one process group."""


def set_up() -> None:
    """Joins the process group of a `deepspeed` launch; alone, makes one of a single rank."""
    from xstilts.distributed.process_group import ProcessGroup  # takes seconds

    _state.group = ProcessGroup()


def tear_down() -> None:
    """Leaves the group (DeepSpeed's stage 3 aborts at exit otherwise) and frees its shared memory."""
    if _state.group is None:
        return
    _state.group.barrier()
    group, _state.group = _state.group, None
    group.leave()


def all_end(seconds: float) -> bool:
    """Whether every rank comes to its end within so many seconds."""
    return all_meet(_ENDING, seconds)


def all_meet(place: str, seconds: float) -> bool:
    """Whether every rank comes to this place, a name that is used once, within so many seconds. Asked through the
    store: others may be in a collective."""
    return _state.group is None or _state.group.all_meet(place, seconds)


def rank() -> int:
    return _state.group.rank if _state.group else 0


def world_size() -> int:
    return _state.group.size if _state.group else 1


def device() -> torch.device:
    """Where this rank computes: DeepSpeed's choice, which DS_ACCELERATOR overrides, not just any GPU in sight."""
    from xstilts.distributed.process_group import device  # see set_up

    return device()


def barrier() -> None:
    if _state.group:
        _state.group.barrier()


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Element-wise float64 sums; the same on every rank."""
    return _state.group.sum(values) if _state.group else list(values)


def gather(value: T, *, in_background: bool = False) -> list[T]:
    """Every rank's value in rank order, on every rank.

    `in_background`: called in the one thread that may use collectives beside the main one.
    """
    return _state.group.gather(value, in_background=in_background) if _state.group else [value]


def on_first_rank(make: Callable[[], T]) -> T:
    """Runs `make` on rank 0 and gives every rank its value, or its error: no rank is left waiting."""
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = make()
        except Exception as error:
            outcome[1] = error
    value, failure = _state.group.from_first(outcome) if _state.group else outcome
    if failure is not None:
        raise failure
    return value


def on_first_rank_long_running(make: Callable[[], T]) -> T:
    """`on_first_rank` for work that may outlast a collective's time limit, such as tokenising a corpus: the other ranks
    ask every few seconds whether it is done.

    `make` calls `progress` after every part of it, minutes long at most: then all ranks report progress, and when it
    stops, all ranks are seen to hang. It runs in a thread, which dies with the process if a rank is lost meanwhile.
    """
    return _long_running(make, {0})[0]


def on_first_rank_of_each_host(make: Callable[[], T]) -> T:
    """As `on_first_rank_long_running`, on the first rank of each host at once; every rank gets its host's value.

    An error on any host is raised on every rank.
    """
    hosts = gather(socket.gethostname())
    return _long_running(make, {hosts.index(host) for host in hosts})[hosts.index(hosts[rank()])]


def _long_running(make: Callable[[], Any], workers: Set[int]) -> list[Any]:
    """The value of `make` for each rank in `workers`, None for the others; or the error of the first that has one."""
    made: Future[Any] = Future()
    if rank() in workers:
        Thread(target=_work, args=(make, made), name="long-running", daemon=True).start()
    else:
        made.set_result(None)
    seen: list[int] = []  # that all ranks have come here is progress
    while True:
        wait([made], timeout=_POLL_SECONDS)
        done, num_progress = zip(*gather((made.done(), _state.num_progress)), strict=True)
        if all(done):
            break
        if (told := [num_progress[worker] for worker in sorted(workers)]) != seen:
            seen = told
            heartbeat.progress()
    values, errors = zip(*gather((None, error) if (error := made.exception()) else (made.result(), None)), strict=True)
    if (failure := next(filter(None, errors), None)) is not None:
        raise failure
    return list(values)


def progress() -> None:
    """Work that other ranks may wait for has got further; from any thread, costs microseconds."""
    _state.num_progress += 1
    heartbeat.progress()


def _work(make: Callable[[], T], made: Future[T]) -> None:
    try:
        made.set_result(make())
    except BaseException as error:
        made.set_exception(error)
