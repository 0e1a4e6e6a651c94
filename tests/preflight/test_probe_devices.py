"""One sick GPU is named and does not hide the others; GPUs that no rank uses are left alone."""

from __future__ import annotations

import functools
import json
import socket
from typing import Any

import pytest
import torch

from xstilts.launch.ssh import run_jobs
from xstilts.preflight import probe_devices
from xstilts.preflight.probe_jobs import probe_job


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Four GPUs, of which the second is another job's; the indices of those on which memory was taken."""
    opened: list[int] = []

    def mem_get_info(index: int) -> tuple[int, int]:
        opened.append(index)
        if index == 1:
            raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nCompile with `TORCH_USE_CUDA_DSA`")
        return 70, 80

    monkeypatch.setenv("DS_ACCELERATOR", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "H200")
    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    monkeypatch.setattr(probe_devices, "_matmul", lambda device, size: 7e14)
    return opened


def test_sick_gpu_is_named(four_gpus: list[int]) -> None:
    devices = probe_devices.devices(3)
    sound = {"name": "H200", "kind": "cuda", "free": 70, "total": 80, "speed": 7e14}
    unused = {"name": "H200", "kind": "cuda", "free": 0, "total": 0, "speed": 0.0}
    assert devices == [
        sound,
        unused | {"problem": "CUDA error: all CUDA-capable devices are busy"},
        sound,
        unused,
    ]
    assert four_gpus == [0, 1, 2]


def test_ranks_on_cpus_beside_gpus(four_gpus: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    (device,) = probe_devices.devices(3)
    assert device["kind"] == "cpu"
    assert four_gpus == []


def test_device_that_cannot_exchange_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @functools.wraps(probe_devices.link)
    def link(*, device: int, **_: Any) -> str:
        if device == 1:
            raise RuntimeError("NCCL error: unhandled\nmore")
        return json.dumps({"bytes_per_second": 2.0})

    monkeypatch.setattr(probe_devices, "link", link)
    with pytest.raises(SystemExit, match=r"^device 1: NCCL error: unhandled$"):
        probe_devices.links_within(world=3, port=20000, mebibytes=1)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_ends_meet_at_an_address_of_either_kind(address: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        try:
            listener.bind((address, 0))
        except OSError as error:
            pytest.skip(f"no {address} here: {error.strerror}")
        port = listener.getsockname()[1]
    job = probe_job("localhost", f"link(rank=0, world=1, address={address!r}, port={port}, device=0, mebibytes=1)")
    (reply,) = run_jobs([job], 100)
    assert reply.problem is None, reply.error
    assert json.loads(reply.output) == {"bytes_per_second": 0.0}
