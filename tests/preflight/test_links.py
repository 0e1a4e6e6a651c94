"""Every pair of neighbours and every host is measured, by one ssh to a host at a time; nobody waits for a sick one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from xstilts.launch.hostfile import Host
from xstilts.launch.reachability import Reachability
from xstilts.launch.ssh import Job, Reply
from xstilts.preflight import links
from xstilts.preflight.host_report import Device, HostReport

GPU = Device(name="H200", kind="cuda", free=1, total=1, speed=1.0)
SICK = GPU.model_copy(update={"problem": "busy"})
CPU = GPU.model_copy(update={"kind": "cpu"})


def _report(*devices: Device) -> HostReport:
    empty: dict[str, Any] = dict.fromkeys(("hostname", "machine", "commit", "sources", "cache"), "")
    zero: dict[str, Any] = dict.fromkeys(("memory_free", "shm_free", "disk_free", "cpus"), 0)
    return HostReport(**empty, **zero, versions={}, shares_run_dir=None, port=20001, stale_locks=(), devices=devices)


@pytest.mark.parametrize("num_hosts", [1, 2, 3, 4, 5])
def test_ring_and_hosts_with_one_ssh_to_a_host_at_a_time(monkeypatch: pytest.MonkeyPatch, num_hosts: int) -> None:
    def run_jobs(jobs: Sequence[Job], timeout: float) -> list[Reply]:
        assert len({job.host for job in jobs}) == len(jobs)
        return [Reply(job.host, 0, json.dumps({"bytes_per_second": 1e9}), "", 0.0, 1.0) for job in jobs]

    monkeypatch.setattr(links, "run_jobs", run_jobs)
    hosts = [Host(f"h{i}", 16, i + 1) for i in range(num_hosts)]
    reports = {host.name: _report(*[GPU] * 16) for host in hosts}
    found = links.measure_links(hosts, {host.name: Reachability() for host in hosts}, reports)
    ring = {frozenset((f"h{i}", f"h{(i + 1) % num_hosts}")) for i in range(num_hosts) if num_hosts > 1}
    assert {frozenset(link.ends) for link in found} == ring | {frozenset((host.name,)) for host in hosts}
    assert len(found) == len(ring) + num_hosts


@pytest.mark.parametrize(
    ("devices", "able"),
    [
        ((GPU, GPU), True),
        ((GPU, GPU, SICK), True),
        ((GPU, SICK), False),
        ((GPU,), False),
        ((CPU,), False),
        ((), False),
    ],
)
def test_hosts_that_would_keep_others_waiting_are_left_out(devices: tuple[Device, ...], able: bool) -> None:
    hosts = [Host("a", 2, 1), Host("b", 2, 2), Host("gone", 2, 3)]
    found = links.able_to_exchange(hosts, {"a": _report(GPU, GPU), "b": _report(*devices)})
    assert found == hosts[: 1 + able]


def test_ranks_of_a_host_share_its_cpus() -> None:
    hosts = [Host("a", 2, 1), Host("b", 8, 2)]
    assert links.able_to_exchange(hosts, {"a": _report(CPU), "b": _report(CPU)}) == hosts
