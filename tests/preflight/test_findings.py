"""Each thing that can be wrong with a host is found, named with the host, and comes with a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from xstilts.launch.hostfile import Host
from xstilts.launch.reachability import Reachability
from xstilts.preflight.finding import Finding
from xstilts.preflight.findings import GIB, find_problems
from xstilts.preflight.host_report import HostReport, Link

HOSTS = (Host("a", 2, 1), Host("b", 2, 2), Host("c", 2, 4))
GPU: dict[str, Any] = {"name": "H200", "kind": "cuda", "free": 139 * GIB, "total": 140 * GIB, "speed": 700e12}
SICK = GPU | {"free": 0, "total": 0, "speed": 0, "problem": "busy"}
CPU = GPU | {"name": "cpu", "kind": "cpu", "free": 0, "total": 0, "speed": 1e11}
SOUND: dict[str, Any] = {
    "hostname": "x",
    "machine": "",
    "versions": {"python": "3.11.7", "torch": "2.13.0", "deepspeed": "0.19.8", "cuda": "12.8", "driver": "580.1"},
    "commit": "abc",
    "sources": "f00",
    "cache": "cafe",
    "shares_run_dir": True,
    "memory_free": 100 * GIB,
    "shm_free": 10 * GIB,
    "disk_free": 500 * GIB,
    "cpus": 64,
    "port": 20001,
    "stale_locks": [],
    "devices": [GPU, GPU],
}
LINKS = (Link(("a",), 300e9), Link(("a", "b"), 40e9), Link(("b", "c"), 39e9), Link(("c", "a"), 41e9))


def findings(links: tuple[Link, ...] = LINKS, reachable: Reachability | None = None, **changes: Any) -> list[Finding]:
    """Findings on three sound hosts but for what `changes` on the last."""
    reports = {host.name: HostReport.model_validate(SOUND) for host in HOSTS}
    reports["c"] = HostReport.model_validate(SOUND | changes)
    reachability = {"a": Reachability(), "b": Reachability(), "c": reachable or Reachability()}
    if reachable is not None and reachable.problem is not None:
        del reports["c"]
    return find_problems(HOSTS, reachability, reports, links)


def test_sound_hosts() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    ("changes", "serious", "problem", "remedy"),
    [
        ({"versions": SOUND["versions"] | {"torch": "2.12"}}, True, "torch is 2.12, elsewhere 2.13.0", "same torch"),
        ({"versions": SOUND["versions"] | {"torch": "absent"}}, True, "torch is not installed", "make setup"),
        ({"versions": SOUND["versions"] | {"driver": "550.2"}}, False, "driver is 550.2, elsewhere 580.1", "driver"),
        ({"sources": "bad", "commit": "abc-dirty"}, True, "abc-dirty (files bad), elsewhere abc", "same commit"),
        ({"sources": "bad"}, True, "source code is abc (files bad), elsewhere abc (files f00)", "same commit"),
        ({"commit": "abd"}, False, "commit is abd, elsewhere abc", "the files of a run are the same; still"),
        ({"cache": "beef"}, True, "dataset cache is beef, elsewhere cafe", "prepare"),
        ({"cache": "absent"}, True, "dataset cache is absent", "correct --cache-dir"),
        ({"cache": "empty"}, True, "dataset cache is empty", "correct --cache-dir"),
        ({"devices": [GPU]}, True, "1 GPUs for slots=2", "slots=1 on line 4"),
        ({"devices": [CPU]}, True, "no GPU can be used for slots=2, and other hosts have some", "or remove line 4"),
        ({"devices": [GPU, SICK]}, True, "GPU 1 (H200) cannot be used: busy", "nvidia-smi"),
        ({"devices": [GPU, GPU | {"free": 70 * GIB}]}, False, "GPU 1 has 70.0 of 140 GiB in use", "nvidia-smi"),
        ({"devices": [GPU, GPU | {"speed": 300e12}]}, False, "device 1 (H200) does 300.00 TFLOP/s, others 700", "heat"),
        ({"shares_run_dir": False}, True, "does not see the run directory", "shared file system"),
        ({"memory_free": 5 * GIB}, False, "5.0 GiB of memory free for 2 ranks", "4 GiB per rank"),
        ({"shm_free": 64 * 2**20}, True, "64 MiB free in /dev/shm for 2 ranks", "--shm-size"),
        ({"disk_free": 20 * GIB}, False, "20.0 GiB of disk free", "28 GiB"),
        ({"disk_free": 0}, True, "0.0 GiB of disk free", "28 GiB"),
        ({"stale_locks": ["/x/lock"]}, True, "/x/lock", "remove the file"),
    ],
)  # fmt: skip
def test_one_host_is_different(changes: dict[str, Any], serious: bool, problem: str, remedy: str) -> None:
    (finding,) = findings(**changes)
    assert (finding.where, finding.serious) == ("c", serious)
    assert problem in finding.problem
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("problem", "remedy"),
    [
        ("ssh failed: Host key verification failed.", "fingerprint"),
        ("ssh failed: root@c: Permission denied (publickey).", "ssh-copy-id"),
        ("ssh failed: ssh: Could not resolve hostname c: Name or service not known", "correct the name"),
        ("ssh failed: ssh: connect to host c port 22: Connection timed out", "is it up"),
        ("ssh failed: ssh: connect to host c port 22: Connection refused", "start sshd"),
        ("no answer within 20 s", "is it up"),
        ("exit code 1: no /venv/bin/python there", "same path"),
        ("exit code 9: odd", "try 'ssh c hostname'"),
    ],
)
def test_unreached_host(problem: str, remedy: str) -> None:
    (finding,) = findings(reachable=Reachability(problem=problem))
    assert (finding.where, finding.serious, finding.problem) == ("c", True, problem)
    assert remedy in finding.remedy


def test_clock_is_judged_within_what_is_known_of_it() -> None:
    assert findings(reachable=Reachability(clock_ahead=4.0, clock_error=3.0)) == []
    (finding,) = findings(reachable=Reachability(clock_ahead=-60.0, clock_error=0.2))
    assert finding.problem == "its clock is 60.0 s behind this machine's"
    assert not finding.serious


def test_slow_and_broken_links() -> None:
    (finding,) = findings((*LINKS[:3], Link(("c", "a"), 1e9)))
    assert (finding.where, finding.serious) == ("c - a", False)
    assert "1.00 GB/s, others 39.00" in finding.problem
    (finding,) = findings((*LINKS[:3], Link(("c", "a"), 0.0, "c: exit code 1: timed out")))
    assert (finding.where, finding.serious) == ("c - a", True)


def test_cpu_hosts_have_no_missing_gpus_but_may_have_too_few_cpus() -> None:
    reports = {host.name: HostReport.model_validate(SOUND | {"devices": [CPU], "cpus": 1}) for host in HOSTS[:1]}
    (finding,) = find_problems(HOSTS[:1], {"a": Reachability()}, reports, ())
    assert finding.problem == "no GPU, and 1 CPUs for slots=2"
    assert not finding.serious


def test_mistyped_cache_is_found_although_it_is_absent_everywhere() -> None:
    reports = {host.name: HostReport.model_validate(SOUND | {"cache": "absent"}) for host in HOSTS}
    found = find_problems(HOSTS, {host.name: Reachability() for host in HOSTS}, reports, ())
    assert [(finding.where, finding.serious) for finding in found] == [("a", True), ("b", True), ("c", True)]


def test_gpus_beyond_the_slots_are_nobody_s_business() -> None:
    assert findings(devices=[GPU, GPU, SICK]) == []


@pytest.mark.parametrize(
    ("hostname", "machine", "same"),
    [("x", "boot net:[1] pid:[1]", True), ("x", "boot net:[2] pid:[1]", False), ("y", "boot net:[1] pid:[1]", False)],
)
def test_one_machine_under_two_names(hostname: str, machine: str, same: bool) -> None:
    """Another namespace is another host; so is another name on a copy of the same virtual machine."""
    told = {"a": ("x", "boot net:[1] pid:[1]"), "b": ("z", "other"), "c": (hostname, machine)}
    reports = {
        host: HostReport.model_validate(SOUND | {"hostname": name, "machine": token})
        for host, (name, token) in told.items()
    }
    found = find_problems(HOSTS, {host.name: Reachability() for host in HOSTS}, reports, ())
    assert [(finding.where, finding.serious) for finding in found] == ([("c", True)] if same else [])
    if same:
        assert "is the same machine as a" in found[0].problem
        assert "lines 1 and 4" in found[0].remedy


def test_serious_findings_come_first() -> None:
    found = findings(disk_free=5 * GIB, cache="absent")
    assert [finding.serious for finding in found] == [True, False]
