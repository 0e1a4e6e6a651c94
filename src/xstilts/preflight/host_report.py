"""What each host of a hostfile reported about itself, and what was measured of its links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Device(BaseModel):
    """One accelerator, or the CPU of a host without any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["cuda", "cpu"]
    free: int
    """Bytes; 0, like `total` and `speed`, for a device that no slot uses."""
    total: int
    speed: float
    """Floating-point operations per second of a matrix product."""
    problem: str = ""
    """Why nothing can be computed on it; empty when something can."""


class HostReport(BaseModel):
    """What `probe.host_report` reports of one host; sizes in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hostname: str
    machine: str
    """Equal on two hosts that are one machine and one container; empty where the kernel does not tell."""
    versions: dict[str, str]
    commit: str
    """As git describes it, with `-dirty` after local changes; empty without git."""
    sources: str
    """Digest of all files of the project that a run reads."""
    cache: str
    shares_run_dir: bool | None
    memory_free: int
    shm_free: int
    disk_free: int
    cpus: int
    port: int
    stale_locks: tuple[str, ...]
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A measured all-reduce between two hosts, or among the devices of one (`ends` of one name)."""

    ends: tuple[str, ...]
    bytes_per_second: float
    problem: str | None = None

    @property
    def name(self) -> str:
        """`a - b`, or `within a`."""
        return " - ".join(self.ends) if len(self.ends) > 1 else f"within {self.ends[0]}"
