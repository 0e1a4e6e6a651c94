"""What `train.py launch` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xstilts.launch.deepspeed_command import Launcher


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """The hosts, what runs on them, and how long the supervisor waits for what."""

    hostfile: Path
    script: Path | None
    """`train.py`, at the same path on every host; None for the installed module."""
    arguments: tuple[str, ...]
    """What follows `--`: the arguments of `script`."""
    include: str = ""
    """The slots to use, `HOST:0,1[@HOST:0,1]`; empty: all of the hostfile."""
    launcher: Launcher = "pdsh"
    launcher_args: str = ""
    """Passed on to the launcher, e.g. `--mca btl_tcp_if_include ib0` for openmpi."""
    master_addr: str | None = None
    """Address of the first host for the ranks' rendezvous; by default the one on which ssh reached it."""
    master_port: int | None = None
    """By default a port that is free on this machine."""
    max_restarts: int = 0
    silence: float = 30.0
    """Seconds without a heartbeat after which a rank is given up, and after which a rank gives its supervisor up."""
    start_timeout: float = 600.0
    """Seconds within which every rank must have started."""
    hang_timeout: float = 1800.0
    """Seconds without progress on any rank after which the run is held to hang."""
    save_timeout: float = 600.0
    """Seconds that the ranks have to save and end when the launch is asked to stop."""
