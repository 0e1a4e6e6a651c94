"""The batch script is valid bash, asks SLURM for the right things, and requeues a preempted run only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from xstilts.core.errors import UserError
from xstilts.launch.slurm import SlurmJob, check_sbatch, sbatch_script

JOB = SlurmJob(
    arguments=("run", "xtreme", "study.seeds=[1, 2]", "name=it's $HOME"),
    nodes=2,
    gpus=8,
    time="24:00:00",
    script=Path("/opt/my project/train.py"),
    run_dir=Path("/shared/runs"),
    partition="gpu",
)


def test_directives_and_syntax(tmp_path: Path) -> None:
    script = sbatch_script(replace(JOB, run_dir=tmp_path))
    assert check_sbatch(script) is None
    for line in ("--nodes=2", "--gpus-per-node=8", "--cpus-per-task=64", "--signal=B:USR1@300", "--partition=gpu"):
        assert f"#SBATCH {line}\n" in script
    assert "--account" not in script


def test_launches_that_share_a_study(tmp_path: Path) -> None:
    script = sbatch_script(replace(JOB, run_dir=tmp_path, lanes=16, tasks=3))
    assert check_sbatch(script) is None
    assert "#SBATCH --array=1-3\n" in script and ' --hostfile "$hostfile" --lanes 16 --max-restarts 2 -- run ' in script
    alone = sbatch_script(replace(JOB, run_dir=tmp_path))
    assert "--array" not in alone and "--lanes" not in alone
    with pytest.raises(UserError, match="--lanes 0 is too small; give 1 or more"):
        sbatch_script(replace(JOB, run_dir=tmp_path, lanes=0))


def test_an_installed_package_is_started_as_a_module(tmp_path: Path) -> None:
    script = sbatch_script(replace(JOB, script=None, run_dir=tmp_path))
    assert check_sbatch(script) is None
    assert f"\n{sys.executable} -m xstilts check --hostfile" in script
    assert f"\n{sys.executable} -m xstilts launch --hostfile" in script
    assert "train.py" not in script and ".venv/bin:" not in script


def test_folder_of_the_output_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "runs"
    assert f"#SBATCH --output={folder}/slurm-%j.out\n" in sbatch_script(replace(JOB, run_dir=folder))
    assert folder.is_dir()
    assert capsys.readouterr().err == f"slurm: made {folder} for the output of the job\n"
    sbatch_script(replace(JOB, run_dir=folder))
    assert capsys.readouterr().err == ""
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=rf"^{tmp_path}/file/runs: cannot make the folder \(Not a directory\); "):
        sbatch_script(replace(JOB, run_dir=tmp_path / "file" / "runs"))


@pytest.mark.parametrize(
    ("signals", "code", "state", "requeued"),
    [
        ((), 0, "RUNNING", False),
        ((), 1, "RUNNING", False),
        ((), 75, "RUNNING", True),
        (("USR1",), 75, "RUNNING", True),
        (("USR1",), 0, "RUNNING", False),
        (("USR1", "TERM"), 75, "COMPLETING", True),  # saved only after the limit
        (("TERM",), 75, "RUNNING", True),  # preempted
        (("TERM", "TERM"), 75, "COMPLETING", False),  # scancel
    ],
)
def test_behaviour_with_stand_ins_for_slurm(
    tmp_path: Path, signals: tuple[str, ...], code: int, state: str, requeued: bool
) -> None:
    """However often the shell is asked, the supervisor is once, and the script ends with the supervisor's code."""
    project, programs = tmp_path / "my project", tmp_path / "bin"
    (project / ".venv" / "bin").mkdir(parents=True)
    programs.mkdir()
    scontrol = 'if [ "$1" = show ]; then printf "n1\\nn2\\n"; else echo "$@" >> "$LOG"; fi'
    _program(programs / "scontrol", scontrol)
    _program(programs / "squeue", f'[[ "$*" == *--jobs=7*--states={state}* ]] && echo "7 gpu {state}"; exit 0')
    supervisor = """trap 'echo asked >> "$LOG"' USR1
    while ! grep -q '^go on' "$LOG"; do sleep 0.05; done"""
    _program(
        project / ".venv" / "bin" / "python",
        f'[ "$2" = check ] || {{ {supervisor}; }}; '
        'for word in "$@"; do echo "[$word]" >> "$LOG"; done; [ "$2" = check ] || exit "$CODE"',
    )
    log = tmp_path / "log"
    log.touch()
    script = sbatch_script(replace(JOB, script=project / "train.py", run_dir=tmp_path))
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "LOG": str(log),
        "CODE": str(code),
    }
    with subprocess.Popen(["bash", "-c", script], env=environment) as process:
        while "[check]" not in log.read_text():
            assert process.poll() is None
        for name in signals:
            time.sleep(0.5)
            process.send_signal(getattr(signal, f"SIG{name}"))
        time.sleep(0.5)
        with log.open("a") as file:
            file.write("go on\n")
        assert process.wait(timeout=20) == code
    said = log.read_text()
    assert (tmp_path / "hostfile-7").read_text() == "n1 slots=8\nn2 slots=8\n"
    assert "[run]\n[xtreme]\n[study.seeds=[1, 2]]\n[name=it's $HOME]\n" in said
    assert said.count("asked\n") == bool(signals)
    assert ("requeue 7" in said) == requeued


@pytest.mark.parametrize(
    "change",
    [
        {"name": "a b"},
        {"partition": "x\n#SBATCH --uid=0"},
        {"time": "a day"},
        {"nodes": 0},
        {"save_seconds": 1},
        {"run_dir": Path("/a b")},
    ],
)
def test_values_that_slurm_would_misread(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"--"):
        sbatch_script(replace(JOB, **change))


def test_broken_script_is_found() -> None:
    problem = check_sbatch("if true; then\n")
    assert problem is not None
    assert problem.startswith("bash -n:")


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
