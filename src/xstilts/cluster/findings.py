"""What is wrong with a set of hosts: from what they said about themselves to findings with remedies. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from xstilts.cluster.contact import Contact
from xstilts.cluster.hostfile import Host

GIB = 2**30
_MEMORY_PER_SLOT = 4 * GIB
_SHM_PER_SLOT = 128 * 2**20
"""DeepSpeed's shared-memory collective takes 69 MB per CPU rank, NCCL less."""
_CHECKPOINT = 10 * GIB
"""XLM-R Large with AdamW in fp32: 560 million x 16 bytes, and the weights once more."""
_CLOCK_SECONDS = 2.0
_SLOW_DEVICE = 0.8
_SLOW_LINK = 0.5
_BUSY_DEVICE = 0.9

_VERSION_REMEDIES = {
    "python": "use one environment on all hosts",
    "driver": "update the driver: NCCL may fail or fall back to a slower path",
}


class Device(BaseModel):
    """One accelerator, or the CPU of a host without any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["cuda", "cpu"]
    free: int
    total: int
    speed: float
    """Floating-point operations per second of a matrix product; 0 for a device that no slot uses."""


class Survey(BaseModel):
    """What `probe.survey` reports of one host; sizes in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hostname: str
    versions: dict[str, str]
    commit: str
    sources: str
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


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to put right."""

    serious: bool
    """Whether a run would break or go wrong; otherwise it would be slow or close to breaking."""
    where: str
    problem: str
    remedy: str


def judge(
    hosts: Sequence[Host], contacts: Mapping[str, Contact], surveys: Mapping[str, Survey | str], links: Sequence[Link]
) -> list[Finding]:
    """All findings, serious ones first.

    Args:
        hosts: as in the hostfile.
        contacts: of every host.
        surveys: of the hosts that were reached; a string says why there is none.
        links: as measured.
    """
    answers = {name: survey for name, survey in surveys.items() if isinstance(survey, Survey)}
    findings = [*_unreached(contacts)]
    for name, survey in surveys.items():
        if isinstance(survey, str):
            findings.append(Finding(True, name, f"did not survey itself: {survey}", "run its python by hand there"))
    findings += _clocks(contacts)
    findings += _differences(answers)
    for host in hosts:
        if host.name in answers:
            findings += _alone(host, answers[host.name])
    findings += _slow_devices(answers)
    findings += _links(links)
    return sorted(findings, key=lambda finding: not finding.serious)


def _unreached(contacts: Mapping[str, Contact]) -> Iterator[Finding]:
    remedies = {
        "Host key verification failed": "compare its key's fingerprint with its owner's and add it to known_hosts",
        "REMOTE HOST IDENTIFICATION HAS CHANGED": "find out why its key changed before you trust the new one",
        "Permission denied": "install your public key there (ssh-copy-id) and load the private one (ssh-agent)",
        "Could not resolve": "correct the name in the hostfile, or make it known (DNS, /etc/hosts, ssh_config)",
        "timed out": "is it up, on this network, and is port 22 open?",
        "no answer": "is it up, on this network, and is port 22 open?",
        "refused": "start sshd there",
        "No route": "is it up and on this network?",
        "there": "make the environment at the same path on every host, or put it on a shared file system",
    }
    for name, contact in contacts.items():
        if contact.problem is not None:
            remedy = next(
                (text for sign, text in remedies.items() if sign in contact.problem), f"try 'ssh {name} hostname'"
            )
            yield Finding(True, name, contact.problem, remedy)


def _clocks(contacts: Mapping[str, Contact]) -> Iterator[Finding]:
    for name, contact in contacts.items():
        if contact.problem is None and abs(contact.clock_ahead) > _CLOCK_SECONDS + contact.clock_error:
            direction = "ahead of" if contact.clock_ahead > 0 else "behind"
            text = f"its clock is {abs(contact.clock_ahead):.1f} s {direction} this machine's"
            yield Finding(False, name, text, "run a time service (chrony) there: logs and file times will mislead you")


def _differences(surveys: Mapping[str, Survey]) -> Iterator[Finding]:
    for key in sorted({key for survey in surveys.values() for key in survey.versions}):
        values = {name: survey.versions.get(key, "absent") for name, survey in surveys.items()}
        for name in [name for name, value in values.items() if value == "absent"]:
            yield Finding(True, name, f"{key} is not installed", "run 'make setup' there")
            del values[name]
        remedy = _VERSION_REMEDIES.get(key, f"install the same {key} on every host")
        yield from _odd_ones(key, values, remedy, serious=key != "driver")
    commits = {name: survey.sources for name, survey in surveys.items()}
    shown = {survey.sources: survey.commit or survey.sources for survey in surveys.values()}
    remedy = "check out the same commit everywhere, without local changes"
    yield from _odd_ones("source code", commits, remedy, serious=True, shown=shown)
    caches = {name: survey.cache for name, survey in surveys.items()}
    yield from _odd_ones(
        "dataset cache", caches, "run 'train.py prepare' once and copy the cache, or share it", serious=True
    )


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


def _alone(host: Host, survey: Survey) -> Iterator[Finding]:
    name = host.name
    accelerators = [device for device in survey.devices if device.kind == "cuda"]
    if accelerators and len(accelerators) < host.slots:
        text = f"{len(accelerators)} GPUs for slots={host.slots}"
        yield Finding(True, name, text, f"write slots={len(accelerators)} on line {host.line}, or mend the missing GPU")
    if not accelerators and survey.cpus < host.slots:
        text = f"no GPU, and {survey.cpus} CPUs for slots={host.slots}"
        yield Finding(False, name, text, f"write slots={survey.cpus} on line {host.line}: ranks share CPUs otherwise")
    for index, device in enumerate(accelerators[: host.slots]):
        if device.free < _BUSY_DEVICE * device.total:
            used = (device.total - device.free) / GIB
            text = f"GPU {index} has {used:.1f} of {device.total / GIB:.0f} GiB in use"
            yield Finding(False, name, text, "another job, or one left over, is on it (nvidia-smi)")
    if survey.shares_run_dir is False:
        text = "does not see the run directory of this machine, or cannot write there"
        yield Finding(True, name, text, "put runs on a shared file system that is mounted at the same path everywhere")
    if survey.memory_free < _MEMORY_PER_SLOT * host.slots:
        text = f"{survey.memory_free / GIB:.1f} GiB of memory free for {host.slots} ranks"
        yield Finding(False, name, text, f"free some: count on {_MEMORY_PER_SLOT // GIB} GiB per rank for XLM-R Large")
    if survey.shm_free < _SHM_PER_SLOT * host.slots:
        text = f"{survey.shm_free / 2**20:.0f} MiB free in /dev/shm for {host.slots} ranks"
        yield Finding(True, name, text, "remove what dead runs left there, or enlarge it (docker: --shm-size=1g)")
    if survey.disk_free < _CHECKPOINT:
        text = f"{survey.disk_free / GIB:.1f} GiB of disk free for runs"
        remedy = f"free some: a checkpoint of XLM-R Large takes {_CHECKPOINT // GIB} GiB while it is written"
        yield Finding(survey.disk_free < GIB, name, text, remedy)
    for path in survey.stale_locks:
        yield Finding(
            True, name, f"a killed build of a kernel left {path}", "remove the file: every run would wait for it"
        )


def _slow_devices(surveys: Mapping[str, Survey]) -> Iterator[Finding]:
    speeds: dict[str, list[tuple[str, int, float]]] = {}
    for name, survey in surveys.items():
        for index, device in enumerate(survey.devices):
            if device.speed:
                speeds.setdefault(device.name, []).append((name, index, device.speed))
    for model, measured in speeds.items():
        usual = statistics.median(speed for _, _, speed in measured)
        for name, index, speed in measured:
            if speed < _SLOW_DEVICE * usual:
                text = f"device {index} ({model}) does {speed / 1e12:.2f} TFLOP/s, others {usual / 1e12:.2f}"
                yield Finding(
                    False, name, text, "look for heat, power limits or another job: all ranks wait for the slowest"
                )


def _links(links: Sequence[Link]) -> Iterator[Finding]:
    for kind in (1, 2):
        good = [link.bytes_per_second for link in links if len(link.ends) == kind and link.problem is None]
        usual = statistics.median(good) if good else 0.0
        for link in links:
            if len(link.ends) == kind and link.problem is None and link.bytes_per_second < _SLOW_LINK * usual:
                text = f"all-reduce at {link.bytes_per_second / 1e9:.2f} GB/s, others {usual / 1e9:.2f}"
                yield Finding(
                    False, link.name, text, "look at cabling and at which interface is used (NCCL_DEBUG=INFO)"
                )
    for link in links:
        if link.problem is not None:
            remedy = "open all ports between the hosts and name the interface (NCCL_SOCKET_IFNAME, GLOO_SOCKET_IFNAME)"
            yield Finding(True, link.name, f"no all-reduce: {link.problem}", remedy)
