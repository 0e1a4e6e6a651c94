"""`train.py check`: whether these hosts are fit for a run, found out before GPU time is spent; remedies if not."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console

from xstilts.core.display import make_console
from xstilts.core.entrypoint import entry_script
from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_CHECK_FAILED, EXIT_OK
from xstilts.core.grid import grids
from xstilts.launch.hostfile import Host, parse_hostfile
from xstilts.launch.reachability import check_reachability
from xstilts.launch.ssh import Reply, run_jobs
from xstilts.preflight.finding import Finding
from xstilts.preflight.findings import GIB, find_problems
from xstilts.preflight.host_report import HostReport, Link
from xstilts.preflight.links import LINK_MEBIBYTES, able_to_exchange, measure_links
from xstilts.preflight.probe_jobs import probe_job

_REPORT_SECONDS = 180.0
_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT_SOURCES = ("train.py", "src", "ds_configs")


def run_check(hostfile: Path, run_dir: Path | None = None, cache_dir: Path | None = None) -> int:
    """Has every host of `hostfile` report its state; prints a table, a verdict and a remedy per finding.

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
    console = make_console()
    with console.status(f"reaching {len(hosts)} hosts"):
        reachability = check_reachability(hosts)
    reached = [host for host in hosts if reachability[host.name].problem is None]
    with console.status(f"asking {len(reached)} hosts for a report"):
        reports = _collect_reports(reached, run_dir, cache_dir)
    answers = {name: report for name, report in reports.items() if isinstance(report, HostReport)}
    able = able_to_exchange(hosts, answers)
    with console.status("measuring links"):
        links = measure_links(able, reachability, answers)
    findings = find_problems(hosts, reachability, reports, links)
    _show(console, hosts, reports, links)
    left_out = [host.name for host in hosts if host not in able]
    _conclude(console, findings, list(_unchecked(run_dir, cache_dir, left_out)))
    return EXIT_CHECK_FAILED if any(finding.serious for finding in findings) else EXIT_OK


def _collect_reports(
    hosts: Sequence[Host], run_dir: Path | None, cache_dir: Path | None
) -> dict[str, HostReport | str]:
    script = entry_script()
    nonce = f".xstilts-check-{secrets.token_hex(6)}"
    if run_dir is not None:
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            (run_dir / nonce).touch(exist_ok=False)
        except OSError as error:
            raise UserError.at(run_dir, None, f"cannot write ({error.strerror})", "name a writable folder") from None
    arguments = {
        "project": str(script.parent if script else _PACKAGE),
        "sources": _CHECKOUT_SOURCES if script else (".",),
        "run_dir": str(run_dir.resolve()) if run_dir else "",
        "cache_dir": str(cache_dir.resolve()) if cache_dir else "",
        "nonce": nonce,
    }
    jobs = [
        probe_job(host.name, f"json.dumps({{**host_report(**{arguments!r}), 'devices': devices({host.slots})}})")
        for host in hosts
    ]
    try:
        return {reply.host: _parse_report(reply) for reply in run_jobs(jobs, _REPORT_SECONDS)}
    finally:
        if run_dir is not None:
            (run_dir / nonce).unlink(missing_ok=True)


def _parse_report(reply: Reply) -> HostReport | str:
    if reply.problem is not None:
        return reply.problem
    try:
        return HostReport.model_validate_json(reply.output.splitlines()[-1])
    except (ValidationError, IndexError):
        return f"its answer is not understood: {reply.output[:80]!r}"


def _unchecked(run_dir: Path | None, cache_dir: Path | None, left_out: Sequence[str]) -> Iterator[str]:
    """What was not checked, and how to have it checked."""
    if run_dir is None:
        yield "that all hosts share the folder of runs, and have room there; add --run-dir FOLDER"
    if cache_dir is None:
        yield "that all hosts have the same dataset cache; add --cache-dir FOLDER"
    if left_out:
        yield f"the links of {', '.join(left_out)}; put right what is said of them and check again"


def _show(
    console: Console, hosts: Sequence[Host], reports: Mapping[str, HostReport | str], links: Sequence[Link]
) -> None:
    columns = ("host", "slots", "devices", "TFLOP/s", "memory", "shm", "disk", "torch", "deepspeed", "driver", "code")
    rows = [(host.name, str(host.slots), *_cells(reports.get(host.name))) for host in hosts]
    title = f"{_count(len(hosts), 'host')}, {_count(sum(host.slots for host in hosts), 'slot')}"
    for table in grids(title, columns, rows, console.width, left=("devices", "code")):
        console.print(table)
    if links:
        cells = [(link.name, "failed" if link.problem else f"{link.bytes_per_second / 1e9:.2f}") for link in links]
        for table in grids(f"all-reduce of {LINK_MEBIBYTES} MiB", ("link", "GB/s"), cells, console.width):
            console.print(table)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _cells(report: HostReport | str | None) -> tuple[str, ...]:
    """What stands behind a host's name and slots."""
    if not isinstance(report, HostReport):
        return ("no answer", *("",) * 8)
    speeds = [device.speed / 1e12 for device in report.devices if device.speed]
    speed = f"{min(speeds):.2f}-{max(speeds):.2f}" if speeds else "-"
    sizes = (f"{size / GIB:.1f} GiB" for size in (report.memory_free, report.shm_free, report.disk_free))
    kinds = ", ".join(sorted({device.name for device in report.devices})) or "none"
    versions = (report.versions.get(key, "absent") for key in ("torch", "deepspeed", "driver"))
    return (f"{len(report.devices)} x {kinds}", speed, *sizes, *versions, report.commit or report.sources)


def _conclude(console: Console, findings: Sequence[Finding], unchecked: Sequence[str]) -> None:
    for finding in findings:
        style, word = ("red", "error") if finding.serious else ("yellow", "warning")
        console.print(f"[{style}]{word}[/{style}]", end=" ")
        text = f"{finding.where}: {finding.problem}; {finding.remedy}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    for text in unchecked:
        console.print("[yellow]not checked[/yellow]", end=" ")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    serious = sum(finding.serious for finding in findings)
    if serious:
        console.print(f"[red]not ready[/red]: {serious} to put right", highlight=False)
        return
    warnings = f", {_count(len(findings), 'warning')}" if findings else ""
    console.print(f"[green]ready[/green]{warnings}" + (" as far as checked" if unchecked else ""), highlight=False)
