"""What was not looked at is said, and is no reason to fail."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from xstilts.core.exit_codes import EXIT_CHECK_FAILED, EXIT_OK
from xstilts.launch.hostfile import Host
from xstilts.preflight import check
from xstilts.preflight.check import run_check
from xstilts.preflight.findings import GIB
from xstilts.preflight.host_report import Device, HostReport, Link


def test_unchecked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    hostfile = tmp_path / "hosts"
    hostfile.write_text("localhost slots=2\n")
    assert run_check(hostfile) == EXIT_OK
    said = capsys.readouterr().out
    assert "within localhost" in said
    assert "\nnot checked that all hosts share the folder of runs, and have room there; add --run-dir FOLDER\n" in said
    assert "\nnot checked that all hosts have the same dataset cache; add --cache-dir FOLDER\n" in said
    assert said.rstrip().endswith("as far as checked")
    (tmp_path / "cache").mkdir()
    assert run_check(hostfile, tmp_path / "runs", tmp_path / "cache") == EXIT_CHECK_FAILED
    said = capsys.readouterr().out
    assert "not checked" not in said
    assert "error localhost: dataset cache is empty; correct --cache-dir" in said


HOSTS = [Host(f"node{i:02d}.gpu.cluster.example.org", 8, i + 1) for i in range(8)]


def test_eight_hosts_at_80_columns() -> None:
    """Every host and every cell stands there whole."""
    device = Device(name="NVIDIA H100 80GB HBM3", kind="cuda", free=79 * GIB, total=80 * GIB, speed=4.2e14)
    reports: dict[str, HostReport | str] = {
        host.name: HostReport(
            hostname=host.name,
            machine=host.name,
            versions={"torch": "2.13.0+cu130", "deepspeed": "0.19.8", "driver": "580.65.06"},
            commit=f"v1.0-{i}-gabcdef{i}",
            sources="",
            cache="",
            shares_run_dir=True,
            memory_free=(900 + i) * GIB,
            shm_free=64 * GIB,
            disk_free=5000 * GIB,
            cpus=128,
            port=1,
            stale_locks=(),
            devices=(device,) * 8,
        )
        for i, host in enumerate(HOSTS[:-1])
    }
    reports[HOSTS[-1].name] = "it does not answer"
    links = [Link((a.name, b.name), 4.9e10) for a, b in pairwise(HOSTS)]
    stream = io.StringIO()
    check._show(Console(file=stream, width=80), HOSTS, reports, links)
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for i, host in enumerate(HOSTS):
        assert host.name in text
        assert i == len(HOSTS) - 1 or f"{900 + i}.0 GiB" in text
        assert i == len(HOSTS) - 1 or f"v1.0-{i}-gabcdef{i}" in text
    for whole in ("8 x NVIDIA H100 80GB HBM3", "420.00-420.00", "2.13.0+cu130", "580.65.06", "no answer", "TFLOP/s"):
        assert whole in text
    assert f"{HOSTS[0].name} - {HOSTS[1].name}" in text
