"""`train.py check`: are these hosts fit for a run? Asked before any GPU time is spent, answered with remedies."""

from __future__ import annotations

import inspect
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from xstilts.cluster import probe
from xstilts.cluster.contact import Contact, contact_hosts
from xstilts.cluster.deepspeed_command import rank_environment
from xstilts.cluster.exit_codes import EXIT_CHECK_FAILED, EXIT_OK
from xstilts.cluster.findings import GIB, Finding, Link, Survey, judge
from xstilts.cluster.hostfile import Host, parse_hostfile
from xstilts.cluster.ssh import Job, Reply, run_jobs
from xstilts.errors import UserError

_SURVEY_SECONDS = 180.0
_LINK_SECONDS = 120.0
_LINK_MEBIBYTES = 64
_PROJECT = Path(__file__).resolve().parents[3]


def run_check(hostfile: Path, run_dir: Path | None = None, cache_dir: Path | None = None) -> int:
    """Surveys every host of `hostfile`, prints a table, a verdict and a remedy per finding.

    Args:
        hostfile: a DeepSpeed hostfile.
        run_dir: folder for runs, which all hosts must share; made if absent.
        cache_dir: folder of the dataset cache, whose files must be the same on every host.

    Returns:
        `EXIT_OK`, or `EXIT_CHECK_FAILED` after a serious finding.

    Raises:
        UserError: a bad hostfile, or a run directory that cannot be written here.
    """
    hosts = parse_hostfile(hostfile)
    console = Console()
    with console.status(f"reaching {len(hosts)} hosts"):
        contacts = contact_hosts(hosts)
    reached = [host for host in hosts if contacts[host.name].problem is None]
    with console.status(f"surveying {len(reached)} hosts"):
        surveys = _survey(reached, run_dir, cache_dir)
    able = [host for host in reached if isinstance(surveys[host.name], Survey)]
    with console.status("measuring links"):
        links = _measure_links(able, contacts, {host.name: surveys[host.name] for host in able})
    findings = judge(hosts, contacts, surveys, links)
    _show(console, hosts, surveys, links, findings)
    return EXIT_CHECK_FAILED if any(finding.serious for finding in findings) else EXIT_OK


def _survey(hosts: Sequence[Host], run_dir: Path | None, cache_dir: Path | None) -> dict[str, Survey | str]:
    nonce = f".xstilts-check-{secrets.token_hex(6)}"
    if run_dir is not None:
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            (run_dir / nonce).touch(exist_ok=False)
        except OSError as error:
            raise UserError.at(run_dir, None, f"cannot write ({error.strerror})", "name a writable folder") from None
    jobs = [
        _probe_job(
            host.name,
            "survey",
            project=str(_PROJECT),
            run_dir=str(run_dir.resolve()) if run_dir else "",
            cache_dir=str(cache_dir.resolve()) if cache_dir else "",
            nonce=nonce,
            slots=host.slots,
        )
        for host in hosts
    ]
    try:
        return {reply.host: _read_survey(reply) for reply in run_jobs(jobs, _SURVEY_SECONDS)}
    finally:
        if run_dir is not None:
            (run_dir / nonce).unlink(missing_ok=True)


def _read_survey(reply: Reply) -> Survey | str:
    if reply.problem is not None:
        return reply.problem
    try:
        return Survey.model_validate_json(reply.output.splitlines()[-1])
    except (ValidationError, IndexError):
        return f"its answer is not understood: {reply.output[:80]!r}"


def _measure_links(
    hosts: Sequence[Host], contacts: Mapping[str, Contact], surveys: Mapping[str, Survey | str]
) -> list[Link]:
    """All-reduces within each host, then over the ring of hosts, no host being in two measurements at the same time."""
    within = [(host.name,) for host in hosts if host.slots > 1]
    names = [host.name for host in hosts]
    ring = [(names[i], names[i + 1]) for i in range(len(names) - 1)]
    if len(names) > 2:
        ring.append((names[-1], names[0]))
    last = ring[-1:] if len(ring) % 2 else []
    rounds: list[Sequence[tuple[str, ...]]] = [within, ring[: len(ring) - len(last)][::2], ring[1::2], last]
    slots = {host.name: host.slots for host in hosts}
    links = []
    for turn in rounds:
        jobs, owners = [], []
        for ends in turn:
            survey = surveys[ends[0]]
            assert isinstance(survey, Survey)
            places = [(end, 0) for end in ends] if len(ends) > 1 else [(ends[0], i) for i in range(slots[ends[0]])]
            for rank, (host, device) in enumerate(places):
                jobs.append(
                    _probe_job(
                        host,
                        "link",
                        rank=rank,
                        world=len(places),
                        address=contacts[ends[0]].address,
                        port=survey.port,
                        device=device,
                        mebibytes=_LINK_MEBIBYTES,
                    )
                )
                owners.append(ends)
        replies = run_jobs(jobs, _LINK_SECONDS) if jobs else []
        links += [
            _read_link(ends, [r for r, owner in zip(replies, owners, strict=True) if owner == ends]) for ends in turn
        ]
    return links


def _read_link(ends: tuple[str, ...], replies: Sequence[Reply]) -> Link:
    problem = next((f"{reply.host}: {reply.problem}" for reply in replies if reply.problem is not None), None)
    if problem is not None:
        return Link(ends, 0.0, problem)
    return Link(ends, min(json.loads(reply.output.splitlines()[-1])["bytes_per_second"] for reply in replies))


def _probe_job(host: str, function: str, **arguments: str | int) -> Job:
    words = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    variables = [f"{name}={value}" for name, value in rank_environment(os.environ).items()]
    source = f"{inspect.getsource(probe)}\nprint({function}({words}))\n"
    return Job(host, ("env", *variables, sys.executable, "-"), source)


def _show(
    console: Console,
    hosts: Sequence[Host],
    surveys: Mapping[str, Survey | str],
    links: Sequence[Link],
    findings: Sequence[Finding],
) -> None:
    table = Table(title=f"{len(hosts)} hosts, {sum(host.slots for host in hosts)} slots")
    for column in (
        "host",
        "slots",
        "devices",
        "TFLOP/s",
        "memory",
        "shm",
        "disk",
        "torch",
        "deepspeed",
        "driver",
        "code",
    ):
        table.add_column(column)
    for host in hosts:
        survey = surveys.get(host.name)
        if not isinstance(survey, Survey):
            table.add_row(host.name, str(host.slots), "[red]no answer[/red]")
            continue
        speeds = [device.speed / 1e12 for device in survey.devices if device.speed]
        speed = f"{min(speeds):.2f}-{max(speeds):.2f}" if speeds else "-"
        sizes = (f"{size / GIB:.1f} GiB" for size in (survey.memory_free, survey.shm_free, survey.disk_free))
        kinds = ", ".join(sorted({device.name for device in survey.devices})) or "none"
        devices = f"{len(survey.devices)} x {kinds}"
        versions = (survey.versions.get(key, "absent") for key in ("torch", "deepspeed", "driver"))
        table.add_row(host.name, str(host.slots), devices, speed, *sizes, *versions, survey.commit or survey.sources)
    console.print(table)
    if links:
        table = Table(title=f"all-reduce of {_LINK_MEBIBYTES} MiB")
        table.add_column("link")
        table.add_column("GB/s", justify="right")
        for link in links:
            table.add_row(link.name, "[red]failed[/red]" if link.problem else f"{link.bytes_per_second / 1e9:.2f}")
        console.print(table)
    for finding in findings:
        style, word = ("red", "error") if finding.serious else ("yellow", "warning")
        text = f"{finding.where}: {finding.problem}; {finding.remedy}"
        console.print(f"[{style}]{word}[/{style}]", end=" ")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    serious = sum(finding.serious for finding in findings)
    if serious:
        console.print(f"[red]not ready[/red]: {serious} to put right", highlight=False)
    else:
        console.print("[green]ready[/green]" + (f", {len(findings)} warnings" if findings else ""), highlight=False)
