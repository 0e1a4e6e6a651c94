"""Which launches work in a run directory now, and at what, by one look at its leases and owners: to be shown, not to be
acted upon."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xstilts.study.lease import Claim, read_leases
from xstilts.study.owner import Owner, read_owners, seems_alive
from xstilts.study.provenance import Launch, Run


@dataclass(frozen=True)
class Held:
    """Something that a launch works on."""

    kind: str
    """`stage`, `evaluation`, or what one launch at a time does: `opening`, `publishing`, `report`."""
    key: str
    """The id of the stage, or the name of the evaluation's folder."""
    label: str


@dataclass(frozen=True)
class Working:
    """A launch that lives."""

    id: str
    hosts: list[str]
    """`HOST: N ranks, DEVICE`; `HOST: process PID` of one that has not said more yet."""
    since: float
    """Unix time of its start; 0 where it has not said yet."""
    holds: list[Held]
    """Nothing while it starts, or waits for others."""


def read_working(run_dir: Path, run: Run, now: float) -> list[Working]:
    """The launches that work on the study at the Unix time `now`, oldest first."""
    alive = [owner for owner in read_owners(run_dir) if owner.study and seems_alive(run_dir, owner, now)]
    if not alive:
        return []
    claims = [state.claim for state in read_leases(run_dir) if state.released is None]
    launches = {launch.id: launch for launch in run.launches}
    return [_working(owner, launches.get(owner.id), claims) for owner in alive]


def describe_hosts(launch: Launch) -> list[str]:
    """Where a launch has its ranks, a line for each host."""
    return [
        f"{host.name}: {len(host.ranks)} rank{'' if len(host.ranks) == 1 else 's'}, {', '.join(host.devices)}"
        for host in launch.hosts
    ]


def _working(owner: Owner, launch: Launch | None, claims: list[Claim]) -> Working:
    return Working(
        id=owner.id,
        hosts=describe_hosts(launch) if launch else [f"{owner.host}: process {owner.pid}"],
        since=launch.start.timestamp() if launch else 0.0,
        holds=[Held(claim.kind, claim.key, claim.label) for claim in claims if claim.owner == owner.id],
    )
