"""The process group: set up from the launcher's environment, torn down so that nothing is left behind.

Bookkeeping (objects, small sums) goes over a gloo group of its own, so that it works alike on CPU and GPU.
"""

from __future__ import annotations

import glob
import io
import os
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import timedelta
from typing import Any, TypeVar

import deepspeed
import torch
import torch.distributed as torch_dist
from deepspeed.accelerator import get_accelerator

from xstilts.distributed.rank_variables import DEFAULT_PORT, set_rank_variables

T = TypeVar("T")

_TIMEOUT = timedelta(minutes=float(os.environ.get("XSTILTS_COLLECTIVE_TIMEOUT_MINUTES", "10")))

_POLL_SECONDS = 0.1


class ProcessGroup:
    """Torch's default group, of which a process has one; used through `distributed.dist`, which says what each method
    is for."""

    def __init__(self) -> None:
        """Joins it."""
        set_rank_variables()
        get_accelerator().set_device(int(os.environ.get("LOCAL_RANK", "0")))
        # cuDNN comes first on newer GPUs and plans each new shape for up to a second; packed rows rarely repeat one.
        torch.backends.cuda.enable_cudnn_sdp(False)
        port = int(os.environ.get("MASTER_PORT", DEFAULT_PORT))
        # DeepSpeed 0.19 calls collectives by names that torch 2.13 is about to drop: nothing that a user could mend.
        warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
        with redirect_stdout(io.StringIO()):  # "... built successfully", from every rank
            deepspeed.init_distributed(distributed_port=port, timeout=_TIMEOUT, verbose=False)
        self._bookkeeping = torch_dist.new_group(backend="gloo", timeout=_TIMEOUT)
        # For the one thread beside the main one: collectives of two threads over one group would mix.
        self._background = torch_dist.new_group(backend="gloo", timeout=_TIMEOUT)
        self.rank = torch_dist.get_rank()
        self.size = torch_dist.get_world_size()

    def leave(self) -> None:
        """Only the group's end is left to do with it."""
        first_here = os.environ.get("LOCAL_RANK", "0") == "0"
        address, port = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
        del self._bookkeeping, self._background
        torch_dist.destroy_process_group()
        if first_here and port:
            # DeepSpeed's CPU all-reduce leaves 69 MB of RAM per rank under this name.
            for path in glob.glob(f"/dev/shm/deepspeed_allreduce_buffer_{os.getuid()}_{address}_{port}_*"):
                os.unlink(path)

    def all_meet(self, place: str, seconds: float) -> bool:
        store = torch_dist.distributed_c10d._get_default_store()
        deadline = time.monotonic() + seconds
        try:
            arrived = store.add(place, 1)
            while arrived < self.size and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                arrived = store.add(place, 0)
        except torch_dist.DistError:  # rank 0, which keeps the store, is gone
            return False
        return arrived == self.size

    def barrier(self) -> None:
        torch_dist.barrier(group=self._bookkeeping)

    def sum(self, values: Sequence[float]) -> list[float]:
        tensor = torch.tensor(values, dtype=torch.float64)
        torch_dist.all_reduce(tensor, group=self._bookkeeping)
        return tensor.tolist()

    def gather(self, value: T, *, in_background: bool) -> list[T]:
        values: list[Any] = [None] * self.size
        torch_dist.all_gather_object(values, value, group=self._background if in_background else self._bookkeeping)
        return values

    def from_first(self, values: list[Any]) -> list[Any]:
        """Rank 0's values, as many as every rank has."""
        torch_dist.broadcast_object_list(values, src=0, group=self._bookkeeping)
        return values


def device() -> torch.device:
    """`distributed.dist.device`."""
    return torch.device(get_accelerator().current_device_name())
