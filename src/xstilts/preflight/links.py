"""How fast the devices of a host, and neighbours in the ring of hosts, exchange: all-reduces before a launch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from xstilts.launch.hostfile import Host
from xstilts.launch.reachability import Reachability
from xstilts.launch.ssh import Job, Reply, run_jobs
from xstilts.preflight.host_report import HostReport, Link
from xstilts.preflight.probe_jobs import probe_job

LINK_MEBIBYTES = 64
_LINK_SECONDS = 180.0
"""More than the ends wait for each other (`probe_devices`), so that their own message arrives."""


def able_to_exchange(hosts: Sequence[Host], reports: Mapping[str, HostReport]) -> list[Host]:
    """Those of `hosts` whose every slot has a sound device of the kind that the others have: no end waits in vain."""
    cuda = any(device.kind == "cuda" for report in reports.values() for device in report.devices)
    able = []
    for host in hosts:
        devices = reports[host.name].devices[: host.slots] if host.name in reports else ()
        sound = [device for device in devices if not device.problem and (device.kind == "cuda") == cuda]
        if len(sound) == (host.slots if cuda else 1):
            able.append(host)
    return able


def measure_links(
    hosts: Sequence[Host], reachability: Mapping[str, Reachability], reports: Mapping[str, HostReport]
) -> list[Link]:
    """All-reduces within each of `hosts`, then over their ring, no host being in two measurements at the same time."""
    names = [host.name for host in hosts]
    ring = [(names[i], names[i + 1]) for i in range(len(names) - 1)]
    if len(names) > 2:
        ring.append((names[-1], names[0]))
    last = ring[-1:] if len(ring) % 2 else []
    links = _within([host for host in hosts if host.slots > 1], reports)
    for turn in (ring[: len(ring) - len(last)][::2], ring[1::2], last):
        links += _between(turn, reachability, reports)
    return links


def _within(hosts: Sequence[Host], reports: Mapping[str, HostReport]) -> list[Link]:
    jobs = [
        probe_job(
            host.name,
            f"links_within(world={host.slots}, port={reports[host.name].port}, mebibytes={LINK_MEBIBYTES})",
        )
        for host in hosts
    ]
    return [_read_link((reply.host,), [reply]) for reply in run_jobs(jobs, _LINK_SECONDS)]


def _between(
    pairs: Sequence[tuple[str, str]], reachability: Mapping[str, Reachability], reports: Mapping[str, HostReport]
) -> list[Link]:
    jobs: list[Job] = []
    for pair in pairs:
        meeting = f"address={reachability[pair[0]].address!r}, port={reports[pair[0]].port}"
        jobs += [
            probe_job(host, f"link(rank={rank}, world=2, {meeting}, device=0, mebibytes={LINK_MEBIBYTES})")
            for rank, host in enumerate(pair)
        ]
    replies = run_jobs(jobs, _LINK_SECONDS)
    return [_read_link(pair, replies[2 * i : 2 * i + 2]) for i, pair in enumerate(pairs)]


def _read_link(ends: tuple[str, ...], replies: Sequence[Reply]) -> Link:
    problem = next((f"{reply.host}: {reply.problem}" for reply in replies if reply.problem is not None), None)
    if problem is not None:
        return Link(ends, 0.0, problem)
    return Link(ends, min(json.loads(reply.output.splitlines()[-1])["bytes_per_second"] for reply in replies))
