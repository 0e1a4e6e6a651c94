"""What a device could compute at most."""

from __future__ import annotations

import torch

from xstilts.distributed import dist

_PEAK_FLOPS = {
    "H200 NVL": 835e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "V100": 125e12,
}
"""Dense half-precision peak per device, vendors' datasheets (V100: fp16 tensor cores): the first name that fits, the
cards with less power before the SXM modules."""


def peak_flops() -> float | None:
    """Peak of this rank's device; None where it is not known."""
    if dist.device().type != "cuda":
        return None
    name = torch.cuda.get_device_name()
    return next((peak for model, peak in _PEAK_FLOPS.items() if model in name), None)
