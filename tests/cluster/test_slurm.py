"""The batch script is valid bash, asks SLURM for the right things, and requeues a preempted run only."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from xstilts.cluster.slurm import SlurmJob, check_sbatch, sbatch_script
from xstilts.errors import UserError

JOB = SlurmJob(
    arguments=("run", "xtreme", "study.seeds=[1, 2]", "name=it's $HOME"),
    nodes=2,
    gpus=8,
    time="24:00:00",
    project=Path("/opt/my project"),
    run_dir=Path("/shared/runs"),
    partition="gpu",
)


def test_directives_and_syntax() -> None:
    script = sbatch_script(JOB)
    assert check_sbatch(script) is None
    for line in ("--nodes=2", "--gpus-per-node=8", "--cpus-per-task=64", "--signal=B:USR1@300", "--partition=gpu"):
        assert f"#SBATCH {line}\n" in script
    assert "--account" not in script


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (1, False), (75, True)])
@pytest.mark.parametrize("signalled", [False, True])
def test_behaviour_with_stand_ins_for_slurm(tmp_path: Path, code: int, requeued: bool, signalled: bool) -> None:
    project, programs = tmp_path / "my project", tmp_path / "bin"
    (project / ".venv" / "bin").mkdir(parents=True)
    programs.mkdir()
    scontrol = 'if [ "$1" = show ]; then printf "n1\\nn2\\n"; else echo "$@" >> "$LOG"; fi'
    _program(programs / "scontrol", scontrol)
    wait = (
        'trap \'echo saved >> "$LOG"; exit "$CODE"\' USR1; for i in $(seq 100); do sleep 0.1; done'
        if signalled
        else ":"
    )
    _program(
        project / ".venv" / "bin" / "python",
        f'for word in "$@"; do echo "[$word]" >> "$LOG"; done; [ "$2" = check ] && exit 0; {wait}; exit "$CODE"',
    )
    log = tmp_path / "log"
    script = sbatch_script(replace(JOB, project=project, run_dir=tmp_path))
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "LOG": str(log),
        "CODE": str(code),
    }
    with subprocess.Popen(["bash", "-c", script], env=environment) as process:
        if signalled:
            while not log.exists() or "[launch]" not in log.read_text():
                assert process.poll() is None
            subprocess.run(["sleep", "0.3"], check=True)
            process.send_signal(10)
        assert process.wait(timeout=20) == code
    said = log.read_text()
    assert (tmp_path / "hostfile-7").read_text() == "n1 slots=8\nn2 slots=8\n"
    assert "[run]\n[xtreme]\n[study.seeds=[1, 2]]\n[name=it's $HOME]\n" in said
    assert ("saved" in said) == signalled
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
