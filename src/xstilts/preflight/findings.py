"""What is wrong with a set of hosts: from their reports to findings with remedies. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from xstilts.core.entrypoint import program_name
from xstilts.launch.hostfile import Host
from xstilts.launch.reachability import Reachability
from xstilts.preflight.comparison import compare
from xstilts.preflight.finding import Finding
from xstilts.preflight.host_report import HostReport, Link

GIB = 2**30
_MEMORY_PER_SLOT = 4 * GIB
_SHM_PER_SLOT = 128 * 2**20
"""DeepSpeed's shared-memory collective takes 69 MB per CPU rank, NCCL less."""
_RUN_DISK = 28 * GIB
"""A checkpoint of XLM-R Large is 560 million x 12 bytes (weights and two moments in fp32): 6.3 GiB. Two are kept, the
best one besides, and the next is written before the oldest goes: 25 GiB, and some for logs and predictions."""
_CLOCK_SECONDS = 2.0
_BUSY_DEVICE = 0.9


def find_problems(
    hosts: Sequence[Host],
    reachability: Mapping[str, Reachability],
    reports: Mapping[str, HostReport | str],
    links: Sequence[Link],
) -> list[Finding]:
    """All findings, serious ones first.

    Args:
        hosts: as in the hostfile.
        reachability: of every host.
        reports: of the hosts that were reached; a string says why there is none.
        links: as measured.
    """
    answers = {name: report for name, report in reports.items() if isinstance(report, HostReport)}
    findings = [*_unreachable(reachability)]
    for name, report in reports.items():
        if isinstance(report, str):
            findings.append(Finding(True, name, f"gave no report of itself: {report}", "run its python by hand there"))
    findings += _clocks(reachability)
    findings += compare(hosts, answers, links)
    for host in hosts:
        if host.name in answers:
            findings += _single_host(host, answers[host.name])
    return sorted(findings, key=lambda finding: not finding.serious)


def _unreachable(reachability: Mapping[str, Reachability]) -> Iterator[Finding]:
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
    for name, host in reachability.items():
        if host.problem is not None:
            remedy = next(
                (text for sign, text in remedies.items() if sign in host.problem), f"try 'ssh {name} hostname'"
            )
            yield Finding(True, name, host.problem, remedy)


def _clocks(reachability: Mapping[str, Reachability]) -> Iterator[Finding]:
    for name, host in reachability.items():
        if host.problem is None and abs(host.clock_ahead) > _CLOCK_SECONDS + host.clock_error:
            direction = "ahead of" if host.clock_ahead > 0 else "behind"
            text = f"its clock is {abs(host.clock_ahead):.1f} s {direction} this machine's"
            yield Finding(False, name, text, "run a time service (chrony) there: logs and file times will mislead you")


def _single_host(host: Host, report: HostReport) -> Iterator[Finding]:
    name = host.name
    accelerators = [device for device in report.devices if device.kind == "cuda"]
    if accelerators and len(accelerators) < host.slots:
        text = f"{len(accelerators)} GPUs for slots={host.slots}"
        yield Finding(True, name, text, f"write slots={len(accelerators)} on line {host.line}, or mend the missing GPU")
    if not accelerators and report.cpus < host.slots:
        text = f"no GPU, and {report.cpus} CPUs for slots={host.slots}"
        yield Finding(False, name, text, f"write slots={report.cpus} on line {host.line}: ranks share CPUs otherwise")
    for index, device in enumerate(accelerators[: host.slots]):
        if device.problem:
            text = f"GPU {index} ({device.name}) cannot be used: {device.problem}"
            yield Finding(True, name, text, "another job has it for itself, or it is broken (nvidia-smi)")
        elif device.free < _BUSY_DEVICE * device.total:
            used = (device.total - device.free) / GIB
            text = f"GPU {index} has {used:.1f} of {device.total / GIB:.0f} GiB in use"
            yield Finding(False, name, text, "another job, or one left over, is on it (nvidia-smi)")
    if report.cache in ("absent", "empty"):
        remedy = f"correct --cache-dir, or run '{program_name()} prepare' once and copy the cache, or share it"
        yield Finding(True, name, f"dataset cache is {report.cache}", remedy)
    if report.shares_run_dir is False:
        text = "does not see the run directory of this machine, or cannot write there"
        yield Finding(True, name, text, "put runs on a shared file system that is mounted at the same path everywhere")
    if report.memory_free < _MEMORY_PER_SLOT * host.slots:
        text = f"{report.memory_free / GIB:.1f} GiB of memory free for {host.slots} ranks"
        yield Finding(False, name, text, f"free some: count on {_MEMORY_PER_SLOT // GIB} GiB per rank for XLM-R Large")
    if report.shm_free < _SHM_PER_SLOT * host.slots:
        text = f"{report.shm_free / 2**20:.0f} MiB free in /dev/shm for {host.slots} ranks"
        yield Finding(True, name, text, "remove what dead runs left there, or enlarge it (docker: --shm-size=1g)")
    if report.disk_free < _RUN_DISK:
        text = f"{report.disk_free / GIB:.1f} GiB of disk free for runs"
        remedy = f"free some: the checkpoints of a stage of XLM-R Large take up to {_RUN_DISK // GIB} GiB"
        yield Finding(report.disk_free < GIB, name, text, remedy)
    for path in report.stale_locks:
        yield Finding(
            True, name, f"a killed build of a kernel left {path}", "remove the file: every run would wait for it"
        )
