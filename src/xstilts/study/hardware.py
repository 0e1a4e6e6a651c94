"""How fast named devices are, for estimates of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xstilts.core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Hardware:
    """One device, or one core."""

    flops_16bit: float
    """Dense peak by the vendor's datasheet; of a core what matrix products reach."""
    flops_fp32: float
    memory: float
    """Bytes."""
    share: float
    """Of the peak that training is supposed to reach."""
    seconds_per_step: float
    """Supposed to pass in each step beside the arithmetic: launches of kernels, the optimizer."""

    def seconds(self, flops: float, num_steps: int, precision: str, world_size: int) -> float:
        peak = self.flops_fp32 if precision == "fp32" else self.flops_16bit
        return flops / (peak * self.share * world_size) + num_steps * self.seconds_per_step


HARDWARE: Mapping[str, Hardware] = MappingProxyType(
    {
        "H100": Hardware(989e12, 67e12, 80e9, 0.35, 0.06),
        "H200": Hardware(989e12, 67e12, 141e9, 0.35, 0.06),
        "A100": Hardware(312e12, 19.5e12, 80e9, 0.35, 0.06),
        "core": Hardware(205e9, 88e9, 0.0, 0.5, 0.05),
    }
)
"""The shares and seconds of GPUs are supposed, and measured nowhere yet; those of a core: benchmarks/estimates.md."""


def find_hardware(name: str) -> Hardware:
    if name not in HARDWARE:
        raise UserError(f"no device '{name}' is known; {did_you_mean(name, HARDWARE)}")
    return HARDWARE[name]
