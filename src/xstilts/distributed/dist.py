"""The process group: set up from the launcher's environment, torn down so that nothing is left behind.

Bookkeeping (objects, small sums) goes over a gloo group of its own, so that it works alike on CPU and GPU.
"""

from __future__ import annotations

import glob
import os
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from datetime import timedelta
from threading import Thread
from typing import Any, TypeVar

import torch
import torch.distributed as torch_dist

from xstilts.distributed import heartbeat

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=float(os.environ.get("XSTILTS_COLLECTIVE_TIMEOUT_MINUTES", "10")))

_POLL_SECONDS = 2.0

_ENDING = "xstilts/ending"

_RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT")
_DEFAULT_PORT = "29500"

_bookkeeping: torch_dist.ProcessGroup | None = None
_aside: torch_dist.ProcessGroup | None = None
_num_moves = 0


def set_up() -> None:
    """Joins the process group of a `deepspeed` launch; alone, makes one of a single rank."""
    import deepspeed  # takes seconds, which planning and reporting need not wait

    global _bookkeeping, _aside
    if "RANK" not in os.environ and "OMPI_COMM_WORLD_RANK" in os.environ:
        _take_place_from_mpi()
    elif "RANK" not in os.environ:
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    os.environ.setdefault("LOCAL_SIZE", os.environ.get("LOCAL_WORLD_SIZE", "1"))
    deepspeed.accelerator.get_accelerator().set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # cuDNN comes first on newer GPUs and plans each new shape for up to a second; packed rows rarely repeat a shape.
    torch.backends.cuda.enable_cudnn_sdp(False)
    port = int(os.environ.get("MASTER_PORT", _DEFAULT_PORT))
    deepspeed.init_distributed(distributed_port=port, timeout=_TIMEOUT, verbose=False)
    _bookkeeping = torch_dist.new_group(backend="gloo", timeout=_TIMEOUT)
    _aside = torch_dist.new_group(backend="gloo", timeout=_TIMEOUT)


def tear_down() -> None:
    """Leaves the group (DeepSpeed's stage 3 aborts at exit otherwise) and frees its shared memory."""
    global _bookkeeping, _aside
    if not torch_dist.is_initialized():
        return
    barrier()
    first_here = os.environ.get("LOCAL_RANK", "0") == "0"
    address, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    _bookkeeping = _aside = None
    torch_dist.destroy_process_group()
    if first_here and port:
        # DeepSpeed's CPU all-reduce leaves 69 MB of RAM per rank under this name.
        for path in glob.glob(f"/dev/shm/deepspeed_allreduce_buffer_{os.getuid()}_{address}_{port}_*"):
            os.unlink(path)


def all_end(seconds: float) -> bool:
    """Whether every rank comes here within so many seconds. Asked through the store: others may be in a collective."""
    store = torch_dist.distributed_c10d._get_default_store()
    deadline = time.monotonic() + seconds
    try:
        arrived = store.add(_ENDING, 1)
        while arrived < world_size() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS / 20)
            arrived = store.add(_ENDING, 0)
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
        torch_dist.barrier(group=_bookkeeping)


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Element-wise float64 sums; the same on every rank."""
    if not torch_dist.is_initialized():
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64)
    torch_dist.all_reduce(tensor, group=_bookkeeping)
    return tensor.tolist()


def gather(value: T, *, aside: bool = False) -> list[T]:
    """Every rank's value in rank order, on every rank. `aside`: over a group for the one thread beside the main one."""
    if not torch_dist.is_initialized():
        return [value]
    values: list[Any] = [None] * world_size()
    torch_dist.all_gather_object(values, value, group=_aside if aside else _bookkeeping)
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
        torch_dist.broadcast_object_list(outcome, src=0, group=_bookkeeping)
    value, failure = outcome
    if failure is not None:
        raise failure
    return value


def on_first_rank_patiently(make: Callable[[], T]) -> T:
    """`on_first_rank` for work that may outlast a collective's time limit, such as tokenising a corpus: the other ranks
    ask every few seconds how far it is.

    `make` calls `progress` after every part of it, minutes long at most: all ranks count as moving when it has moved,
    so that work which hangs is found out. It runs in a thread, which dies with the process if a rank is lost meanwhile.
    """
    made: Future[T] = Future()
    if rank() == 0:
        Thread(target=_work, args=(make, made), name="on first rank", daemon=True).start()
    seen = -1  # all have come here, which is a move
    while True:
        done = rank() == 0 and bool(wait([made], timeout=_POLL_SECONDS).done)
        done, num_moves = gather((done, _num_moves))[0]
        if done:
            return on_first_rank(made.result)
        if num_moves != seen:
            seen = num_moves
            heartbeat.progress()


def progress() -> None:
    """Something that others may wait for has moved, in any thread; costs microseconds."""
    global _num_moves
    _num_moves += 1
    heartbeat.progress()


def _work(make: Callable[[], T], made: Future[T]) -> None:
    try:
        made.set_result(make())
    except BaseException as error:
        made.set_exception(error)


def _take_place_from_mpi() -> None:
    """Reads this rank's place from Open MPI, before a device is chosen by it, and the rendezvous from rank 0.

    DeepSpeed's own discovery (0.19.8) sets the place after that, and the rendezvous to port 29500 of the first address
    that rank 0 has, whatever it was told; the address is left to it where rank 0 was told none. Rank 0's word counts
    for all, since `mpirun` hands its environment to the ranks of its own host alone.
    """
    from mpi4py import MPI

    for name, of_mpi in (("RANK", "RANK"), ("WORLD_SIZE", "SIZE"), ("LOCAL_RANK", "LOCAL_RANK")):
        os.environ[name] = os.environ[f"OMPI_COMM_WORLD_{of_mpi}"]
    os.environ["LOCAL_WORLD_SIZE"] = os.environ["OMPI_COMM_WORLD_LOCAL_SIZE"]
    told = {"MASTER_PORT": _DEFAULT_PORT} | {name: os.environ[name] for name in _RENDEZVOUS if name in os.environ}
    for name in _RENDEZVOUS:
        os.environ.pop(name, None)
    os.environ |= MPI.COMM_WORLD.bcast(told)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
