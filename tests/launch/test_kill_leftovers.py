"""Processes are found by the run's id, ended whatever they do about it, and no others are touched."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

from xstilts.launch.kill_leftovers import processes_of
from xstilts.launch.kill_leftovers_jobs import kill_leftovers_on

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def _start(*argv: str, run_id: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, env={**os.environ, "XSTILTS_RUN_ID": run_id}, stdout=subprocess.PIPE)


def test_ends_its_own_and_no_other(tmp_path: Path) -> None:
    run_id = f"xs{secrets.token_hex(8)}"
    obedient = _start("sleep", "60", run_id=run_id)
    deaf = _start(sys.executable, "-c", DEAF, run_id=run_id)
    stopped = _start("sleep", "60", run_id=run_id)
    by_command_line = _start("sh", "-c", f"while :; do sleep 0.1; done; : {run_id}")
    other_run = _start("sleep", "60", run_id=f"{run_id[:-1]}x")
    assert deaf.stdout is not None
    deaf.stdout.readline()
    os.kill(stopped.pid, signal.SIGSTOP)
    (tmp_path / "buffer_1").touch()
    (tmp_path / "other_1").touch()
    try:
        mine = (obedient, deaf, stopped, by_command_line)
        assert {process.pid for process in mine} <= set(processes_of(run_id))
        start = time.monotonic()
        (result,) = kill_leftovers_on(["localhost"], run_id, f"{tmp_path}/buffer_*")
        assert time.monotonic() - start < 10
        assert result.clean and result.ended == 4
        assert [process.wait(1) for process in (obedient, deaf, stopped)] == [-15, -9, -9]
        assert processes_of(run_id) == []
        assert other_run.poll() is None
        assert [path.name for path in tmp_path.iterdir()] == ["other_1"]
    finally:
        for process in (obedient, deaf, stopped, by_command_line, other_run):
            process.kill()
            process.communicate()


def test_this_process_is_spared() -> None:
    assert os.getpid() not in processes_of(Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode())
