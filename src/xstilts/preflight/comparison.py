"""What is wrong between hosts, each of which may be sound: findings from their differences. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from xstilts.core.entrypoint import program_name
from xstilts.launch.hostfile import Host
from xstilts.preflight.finding import Finding
from xstilts.preflight.host_report import HostReport, Link

_SLOW_DEVICE = 0.8
_SLOW_LINK = 0.5

_VERSION_REMEDIES = {
    "python": "use one environment on all hosts",
    "driver": "update the driver: NCCL may fail or fall back to a slower path",
}


def compare(hosts: Sequence[Host], reports: Mapping[str, HostReport], links: Sequence[Link]) -> Iterator[Finding]:
    """All findings between hosts.

    Args:
        hosts: as in the hostfile.
        reports: of those that answered.
        links: as measured.
    """
    answered = [host for host in hosts if host.name in reports]
    yield from _one_machine(answered, reports)
    yield from _versions(reports)
    yield from _code(reports)
    caches = {name: report.cache for name, report in reports.items() if report.cache not in ("absent", "empty")}
    remedy = f"run '{program_name()} prepare' once and copy the cache, or share it"
    yield from _odd_ones("dataset cache", caches, remedy, serious=True)
    yield from _missing_accelerators(answered, reports)
    yield from _slow_devices(reports)
    yield from _links(links)


def _one_machine(hosts: Sequence[Host], reports: Mapping[str, HostReport]) -> Iterator[Finding]:
    """The name of the machine is asked as well: copies of a running virtual machine share the start of their kernel."""
    seen: dict[tuple[str, str], Host] = {}
    for host in hosts:
        report = reports[host.name]
        if not report.machine:
            continue
        first = seen.setdefault((report.hostname, report.machine), host)
        if first is not host:
            text = f"is the same machine as {first.name}: their ranks would take the same devices"
            yield Finding(True, host.name, text, f"keep one of the lines {first.line} and {host.line}, with all slots")


def _versions(reports: Mapping[str, HostReport]) -> Iterator[Finding]:
    for key in sorted({key for report in reports.values() for key in report.versions}):
        values = {name: report.versions.get(key, "absent") for name, report in reports.items()}
        for name in [name for name, value in values.items() if value == "absent"]:
            yield Finding(True, name, f"{key} is not installed", "run 'make setup' there")
            del values[name]
        remedy = _VERSION_REMEDIES.get(key, f"install the same {key} on every host")
        yield from _odd_ones(key, values, remedy, serious=key != "driver")


def _code(reports: Mapping[str, HostReport]) -> Iterator[Finding]:
    """Other files are serious; another commit, or local changes, with the same files is a warning."""
    remedy = "check out the same commit everywhere, without local changes"
    files = {name: report.sources for name, report in reports.items()}
    shown = {
        report.sources: f"{report.commit or 'outside of git'} (files {report.sources})" for report in reports.values()
    }
    others = list(_odd_ones("source code", files, remedy, serious=True, shown=shown))
    yield from others
    named = {finding.where for finding in others}
    commits = {name: report.commit for name, report in reports.items() if report.commit and name not in named}
    yield from _odd_ones("commit", commits, f"the files of a run are the same; still, {remedy}", serious=False)


def _odd_ones(
    what: str, values: Mapping[str, str], remedy: str, *, serious: bool, shown: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """A finding for each host whose value is not that of most hosts (the first host's, when they are as many)."""
    if not values:
        return
    usual = Counter(values.values()).most_common(1)[0][0]
    texts = shown or {}
    for name, value in values.items():
        if value != usual:
            text = f"{what} is {texts.get(value, value)}, elsewhere {texts.get(usual, usual)}"
            yield Finding(serious, name, text, remedy)


def _missing_accelerators(hosts: Sequence[Host], reports: Mapping[str, HostReport]) -> Iterator[Finding]:
    """Hosts without a GPU beside hosts with one; a cluster of CPUs is left in peace."""
    with_gpu = {name for name, report in reports.items() if any(device.kind == "cuda" for device in report.devices)}
    for host in hosts:
        if with_gpu and host.name not in with_gpu and reports[host.name].devices:
            text = f"no GPU can be used for slots={host.slots}, and other hosts have some"
            remedy = f"look there at nvidia-smi, the driver and CUDA_VISIBLE_DEVICES, or remove line {host.line}"
            yield Finding(True, host.name, text, remedy)


def _slow_devices(reports: Mapping[str, HostReport]) -> Iterator[Finding]:
    speeds: dict[str, list[tuple[str, int, float]]] = {}
    for name, report in reports.items():
        for index, device in enumerate(report.devices):
            if device.speed:
                speeds.setdefault(device.name, []).append((name, index, device.speed))
    remedy = "look for heat, power limits or another job: all ranks wait for the slowest"
    for model, measured in speeds.items():
        usual = statistics.median(speed for _, _, speed in measured)
        for name, index, speed in measured:
            if speed < _SLOW_DEVICE * usual:
                text = f"device {index} ({model}) does {speed / 1e12:.2f} TFLOP/s, others {usual / 1e12:.2f}"
                yield Finding(False, name, text, remedy)


def _links(links: Sequence[Link]) -> Iterator[Finding]:
    remedy = "look at cabling and at which interface is used (NCCL_DEBUG=INFO)"
    for kind in (1, 2):
        good = [link.bytes_per_second for link in links if len(link.ends) == kind and link.problem is None]
        usual = statistics.median(good) if good else 0.0
        for link in links:
            if len(link.ends) == kind and link.problem is None and link.bytes_per_second < _SLOW_LINK * usual:
                text = f"all-reduce at {link.bytes_per_second / 1e9:.2f} GB/s, others {usual / 1e9:.2f}"
                yield Finding(False, link.name, text, remedy)
    remedy = "open all ports between the hosts and name the interface (NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME)"
    for link in links:
        if link.problem is not None:
            yield Finding(True, link.name, f"no all-reduce: {link.problem}", remedy)
