"""The process group: set up from the launcher's environment, torn down so that nothing is left behind.

Bookkeeping (objects, small sums) goes over a gloo group of its own, so that it works alike on CPU and GPU.
"""

from __future__ import annotations

import glob
import io
import os
import socket
import time
import warnings
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Future, wait
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread
from typing import Any, TypeVar

import torch
import torch.distributed as torch_dist

from xstilts.distributed import heartbeat
from xstilts.distributed.rank_variables import DEFAULT_PORT, set_rank_variables

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=float(os.environ.get("XSTILTS_COLLECTIVE_TIMEOUT_MINUTES", "10")))

_POLL_SECONDS = 2.0

_ENDING = "xstilts/ending"


@dataclass(slots=True)
class _Groups:
    """The gloo groups of this process, and what it tells the other ranks of work under way."""

    bookkeeping: torch_dist.ProcessGroup | None = None
    background: torch_dist.ProcessGroup | None = None
    """For the one thread beside the main one: collectives of two threads over one group would mix."""
    num_progress: int = 0
    """How often `progress` was called."""


_groups = _Groups()
"""The only state of this module: a process is in one process group."""


def set_up() -> None:
    """Joins the process group of a `deepspeed` launch; alone, makes one of a single rank."""
    import deepspeed  # takes seconds, which planning and reporting need not wait

    set_rank_variables()
    deepspeed.accelerator.get_accelerator().set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # cuDNN comes first on newer GPUs and plans each new shape for up to a second; packed rows rarely repeat a shape.
    torch.backends.cuda.enable_cudnn_sdp(False)
    port = int(os.environ.get("MASTER_PORT", DEFAULT_PORT))
    # DeepSpeed 0.19 calls collectives by names that torch 2.13 is about to drop: nothing that a user could mend.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    with redirect_stdout(io.StringIO()):  # "... built successfully", from every rank
        deepspeed.init_distributed(distributed_port=port, timeout=_TIMEOUT, verbose=False)
    _groups.bookkeeping = torch_dist.new_group(backend="gloo", timeout=_TIMEOUT)
    _groups.background = torch_dist.new_group(backend="gloo", timeout=_TIMEOUT)


def tear_down() -> None:
    """Leaves the group (DeepSpeed's stage 3 aborts at exit otherwise) and frees its shared memory."""
    if not torch_dist.is_initialized():
        return
    barrier()
    first_here = os.environ.get("LOCAL_RANK", "0") == "0"
    address, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    _groups.bookkeeping = _groups.background = None
    torch_dist.destroy_process_group()
    if first_here and port:
        # DeepSpeed's CPU all-reduce leaves 69 MB of RAM per rank under this name.
        for path in glob.glob(f"/dev/shm/deepspeed_allreduce_buffer_{os.getuid()}_{address}_{port}_*"):
            os.unlink(path)


def all_end(seconds: float) -> bool:
    """Whether every rank comes to its end within so many seconds."""
    return all_meet(_ENDING, seconds)


def all_meet(place: str, seconds: float) -> bool:
    """Whether every rank comes to this place, a name that is used once, within so many seconds. Asked through the
    store: others may be in a collective."""
    store = torch_dist.distributed_c10d._get_default_store()
    deadline = time.monotonic() + seconds
    try:
        arrived = store.add(place, 1)
        while arrived < world_size() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS / 20)
            arrived = store.add(place, 0)
    except torch_dist.DistError:  # rank 0, which keeps the store, is gone
        return False
    return arrived == world_size()


def rank() -> int:
    return torch_dist.get_rank() if torch_dist.is_initialized() else 0


def world_size() -> int:
    return torch_dist.get_world_size() if torch_dist.is_initialized() else 1


def device() -> torch.device:
    """Where this rank computes: DeepSpeed's choice, which DS_ACCELERATOR overrides, not just any GPU in sight."""
    from deepspeed.accelerator import get_accelerator  # see set_up

    return torch.device(get_accelerator().current_device_name())


def barrier() -> None:
    if torch_dist.is_initialized():
        torch_dist.barrier(group=_groups.bookkeeping)


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Element-wise float64 sums; the same on every rank."""
    if not torch_dist.is_initialized():
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64)
    torch_dist.all_reduce(tensor, group=_groups.bookkeeping)
    return tensor.tolist()


def gather(value: T, *, in_background: bool = False) -> list[T]:
    """Every rank's value in rank order, on every rank.

    `in_background`: called in the one thread that may use collectives beside the main one.
    """
    if not torch_dist.is_initialized():
        return [value]
    values: list[Any] = [None] * world_size()
    torch_dist.all_gather_object(values, value, group=_groups.background if in_background else _groups.bookkeeping)
    return values


def on_first_rank(make: Callable[[], T]) -> T:
    """Runs `make` on rank 0 and gives every rank its value, or its error: no rank is left waiting."""
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = make()
        except Exception as error:
            outcome[1] = error
    if torch_dist.is_initialized():
        torch_dist.broadcast_object_list(outcome, src=0, group=_groups.bookkeeping)
    value, failure = outcome
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
        done, num_progress = zip(*gather((made.done(), _groups.num_progress)), strict=True)
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
    _groups.num_progress += 1
    heartbeat.progress()


def _work(make: Callable[[], T], made: Future[T]) -> None:
    try:
        made.set_result(make())
    except BaseException as error:
        made.set_exception(error)
