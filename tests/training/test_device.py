"""A GPU in sight is not used when DeepSpeed was told to compute on the CPU."""

from __future__ import annotations

import pytest
import torch
from deepspeed.accelerator import real_accelerator

from xstilts.distributed import dist
from xstilts.training.flops import peak_flops
from xstilts.training.monitors.collectives import CollectiveClock


@pytest.fixture
def gpu_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    monkeypatch.setattr(real_accelerator, "ds_accelerator", None)


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_peak_is_that_of_the_card(monkeypatch: pytest.MonkeyPatch, name: str, tflops: int | None) -> None:
    """Dense bf16, from the vendor's datasheets."""
    monkeypatch.setattr(dist, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
    assert peak_flops() == (tflops and tflops * 1e12)


@pytest.mark.usefixtures("gpu_in_sight")
def test_everything_stays_on_the_cpu() -> None:
    assert dist.device() == torch.device("cpu")
    assert peak_flops() is None
    clock = CollectiveClock()
    with clock.measure():
        pass
    assert clock.take() > 0
