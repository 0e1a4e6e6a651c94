"""A probe sees the variables that a rank would see, and nobody else sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xstilts.launch.ssh import run_jobs
from xstilts.preflight.probe_jobs import probe_job


def test_variables_arrive_and_stand_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = 'it\'s $HOME `x` \\ "y" \u00e4'
    (tmp_path / "env").write_text(f"TOKEN={secret}\n", encoding="utf-8")
    monkeypatch.setenv("DS_ENV_FILE", str(tmp_path / "env"))
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "ib0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    seen = "[os.environ['TOKEN'], os.environ['NCCL_SOCKET_IFNAME'], __import__('sys').path]"
    asked = f"json.dumps([{seen}, open('/proc/self/cmdline').read(), open(f'/proc/{{os.getppid()}}/cmdline').read()])"
    job = probe_job("localhost", asked)
    assert job.argv == ("sh", "-s")
    (reply,) = run_jobs([job], 60)
    assert reply.problem is None, reply.error
    (token, interface, path), *lines = json.loads(reply.output)
    assert (token, interface) == (secret, "ib0")
    assert str(tmp_path) in path
    assert not any("ib0" in line or "HOME" in line for line in lines)
