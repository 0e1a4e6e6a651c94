"""The supervisor around the real `deepspeed` launcher, two ranks on this machine that do nothing but beat."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
RANK = """
import os, sys, time
from pathlib import Path
from xstilts.distributed import heartbeat
from xstilts.core.exit_codes import exit_code_of
from xstilts.core.errors import UserError

folder, rank = Path(sys.argv[1]), os.environ["RANK"]
attempt = len(list(folder.glob(f"rank{rank}.*")))

def main(heart):
    (folder / f"rank{rank}.{attempt}").write_text(str(os.getpid()))
    heartbeat.progress(step=7, phase="train")
    heartbeat.saved(folder / "step-7")
    BODY

try:
    with heartbeat.Heartbeat(interval=0.2) as heart:
        main(heart)
except Exception as error:
    sys.exit(exit_code_of(error))
"""
LAUNCH = """
import sys
from pathlib import Path
from xstilts.launch.options import LaunchOptions
from xstilts.launch.supervisor import run_launch
folder = Path(sys.argv[1])
sys.exit(run_launch(LaunchOptions(
    hostfile=folder / "hosts", script=folder / "rank.py", arguments=(str(folder),), max_restarts=int(sys.argv[2]))))
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Launches two ranks that run `body`."""

    def launch(body: str, restarts: int = 0, on_hangup: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
        (tmp_path / "hosts").write_text("localhost slots=2\n")
        (tmp_path / "rank.py").write_text(RANK.replace("BODY", textwrap.indent(body, "    ").strip()))
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "DS_ACCELERATOR": "cpu", "HOME": str(tmp_path)}
        command = [sys.executable, "-c", LAUNCH, str(tmp_path), str(restarts)]
        return subprocess.Popen(
            command,
            env=environment,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, on_hangup),
        )

    return launch


def pid(folder: Path, rank: int) -> int:
    path = folder / f"rank{rank}.0"
    deadline = time.monotonic() + 60
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(path.read_text())


def end(process: subprocess.Popen[str], folder: Path) -> tuple[int, str]:
    _, said = process.communicate(timeout=100)
    for path in folder.glob("rank?.?"):
        assert not psutil.pid_exists(int(path.read_text())), f"{path.name} is still there"
    return process.returncode, "".join(line for line in said.splitlines(True) if line.startswith("launch: "))


def test_launcher_killed_while_the_ranks_run_and_a_relaunch_that_succeeds(start: Start, tmp_path: Path) -> None:
    process = start("if attempt == 0: time.sleep(60)", restarts=1)
    launcher = psutil.Process(pid(tmp_path, 0)).parent()
    pid(tmp_path, 1)
    assert launcher is not None and "deepspeed.launcher.launch" in launcher.cmdline()
    launcher.kill()
    code, said = end(process, tmp_path)
    assert code == 0
    assert f"died; last good checkpoint: {tmp_path}/step-7\n" in said
    assert "localhost: ended " in said and "relaunch 1 of 1" in said


def test_users_mistake_on_one_rank_is_not_tried_again(start: Start, tmp_path: Path) -> None:
    code, said = end(start("if rank == '1': raise UserError('no such file')\ntime.sleep(60)", restarts=3), tmp_path)
    assert code == 2
    assert "rank 1 (host localhost), last at step 7, train, ended with code 2: UserError: no such file; last" in said
    assert "relaunch" not in said


def test_ranks_are_asked_to_save_once_and_killed_at_the_second_signal(start: Start, tmp_path: Path) -> None:
    process = start(
        "heart.saves_when_asked(True)\nwhile not heartbeat.preemption_requested(): time.sleep(0.1)\n"
        "(folder / 'asked').touch()\ntime.sleep(60)"
    )
    pid(tmp_path, 0), pid(tmp_path, 1)
    process.send_signal(signal.SIGUSR1)
    while not (tmp_path / "asked").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)  # of the same request: `scancel` tells the batch shell and its children
    time.sleep(5.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    code, said = end(process, tmp_path)
    assert code == 1
    assert "launch: ended at once, as asked; last good checkpoint: " in said


def test_ranks_outside_of_training_end_when_asked_to(start: Start, tmp_path: Path) -> None:
    process = start("time.sleep(60)")
    pid(tmp_path, 0), pid(tmp_path, 1)
    process.send_signal(signal.SIGHUP)
    code, said = end(process, tmp_path)
    assert code == 75
    assert "SIGHUP: asking every rank" in said


def test_launch_under_nohup_goes_on_when_the_terminal_closes(start: Start, tmp_path: Path) -> None:
    process = start("time.sleep(60)", on_hangup=signal.SIG_IGN)
    pid(tmp_path, 0), pid(tmp_path, 1)
    process.send_signal(signal.SIGHUP)
    time.sleep(3)
    assert process.poll() is None
    process.terminate()
    code, said = end(process, tmp_path)
    assert code == 75
    assert "SIGHUP" not in said and "SIGTERM: asking every rank" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "demmo"], "did you mean 'demo'?"),
        (["run", "demo", "training.stepz=3"], "did you mean 'steps'?"),
        (["report", "runs/demo"], "'report' runs on no ranks; give '-- run RECIPE'"),
    ],
)
def test_mistake_in_what_the_ranks_shall_do_is_found_before_any_starts(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    (tmp_path / "hosts").write_text("localhost slots=2\n")
    command = [sys.executable, str(SOURCE.parent / "train.py"), "launch", "--hostfile", str(tmp_path / "hosts")]
    done = subprocess.run(
        [*command, "--max-restarts", "3", "--", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and problem in done.stderr


def test_ranks_that_never_start(start: Start, tmp_path: Path) -> None:
    process = start("")
    (tmp_path / "rank.py").write_text("raise SystemExit(0)\n")
    code, said = end(process, tmp_path)
    assert code == 1
    assert "the launcher ended (code 0) before rank 0 (host localhost), rank 1 (host localhost) had started" in said
