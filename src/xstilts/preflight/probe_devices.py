"""The devices of a host and how fast they exchange; `check` runs it on every host, with `probe`.

Stands alone for the same reason as `probe`. Functions import torch, not the module: a host may have none.
"""

import concurrent.futures
import json
import multiprocessing
import os
import platform
import time

_RENDEZVOUS_SECONDS = 120
"""Ranks import torch before they meet, which takes a cold network file system a minute and more."""


def devices(slots: int) -> list[dict[str, object]]:
    """The fields of `host_report.Device` for each device of this host, of which ranks use the first `slots`.

    Only those that ranks will use are measured: to ask any of them for its free memory takes half a GiB of it.
    """
    try:
        cuda = _uses_cuda()
    except ImportError:
        return []
    import torch

    if not cuda:
        return [
            {"name": platform.processor() or "cpu", "kind": "cpu", "free": 0, "total": 0, "speed": _matmul("cpu", 1024)}
        ]
    found = []
    for index in range(torch.cuda.device_count()):
        device: dict[str, object] = {"name": f"GPU {index}", "kind": "cuda", "free": 0, "total": 0, "speed": 0.0}
        try:
            device["name"] = torch.cuda.get_device_name(index)
            if index < slots:
                device["free"], device["total"] = torch.cuda.mem_get_info(index)
                device["speed"] = _matmul(f"cuda:{index}", 8192)
        except RuntimeError as error:  # broken, full, or another process has it for itself
            device["problem"] = _one_line(error)
        found.append(device)
    return found


def links_within(*, world: int, port: int, mebibytes: int) -> str:
    """`link` among the first `world` devices of this host, whose processes are started here: one ssh for all of them.

    Returns:
        As `link`, of the slowest process.

    Raises:
        SystemExit: one of them failed; the text names its device.
    """
    # Forked, because a program that came by the standard input cannot be started anew; torch is not yet imported here.
    with concurrent.futures.ProcessPoolExecutor(world, multiprocessing.get_context("fork")) as pool:
        ends = {
            pool.submit(link, rank=i, world=world, address="127.0.0.1", port=port, device=i, mebibytes=mebibytes): i
            for i in range(world)
        }
        speeds = []
        problem = ""
        for end in concurrent.futures.as_completed(ends):
            if (error := end.exception()) is None:
                speeds.append(json.loads(end.result())["bytes_per_second"])
            else:  # the first to fail is the cause: the others waited for it
                problem = problem or f"device {ends[end]}: {_one_line(error)}"
    if problem:
        raise SystemExit(problem)
    return json.dumps({"bytes_per_second": min(speeds)})


def link(*, rank: int, world: int, address: str, port: int, device: int, mebibytes: int) -> str:
    """All-reduces `mebibytes` MiB among `world` processes.

    Returns:
        JSON: bytes per second that each process sent and received (NCCL's "bus bandwidth"), best of five.
    """
    from datetime import timedelta

    import torch
    import torch.distributed as dist

    cuda = _uses_cuda()
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if cuda else "gloo",
        init_method=_rendezvous(address, port),
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=_RENDEZVOUS_SECONDS),
    )
    data = torch.ones(mebibytes * 2**18, device="cuda" if cuda else "cpu")
    best = float("inf")
    for turn in range(6):
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(data)
        if cuda:
            torch.cuda.synchronize()
        if turn:  # the first one sets connections up
            best = min(best, time.perf_counter() - start)
    dist.destroy_process_group()
    return json.dumps({"bytes_per_second": 2 * (world - 1) / world * mebibytes * 2**20 / best})


def _rendezvous(address: str, port: int) -> str:
    return f"tcp://[{address}]:{port}" if ":" in address else f"tcp://{address}:{port}"


def _uses_cuda() -> bool:
    """Whether ranks on this host run on its GPUs: `DS_ACCELERATOR` is what DeepSpeed goes by first."""
    import torch

    return torch.cuda.is_available() and os.environ.get("DS_ACCELERATOR", "cuda") == "cuda"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split("\n", 1)[0].split())[:200] or type(error).__name__


def _matmul(device: str, size: int) -> float:
    import torch

    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    matrix = torch.randn(size, size, dtype=dtype, device=device)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        matrix @ matrix
        if device != "cpu":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
