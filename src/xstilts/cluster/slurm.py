"""A batch script for SLURM: the job's nodes become a hostfile, `train.py check` looks at them, `train.py launch` runs.

SLURM's warning before the time limit (`--signal`) reaches the supervisor, the ranks save, and exit code 75 puts the job
back into the queue, where it continues. Needs ssh between the nodes of a job, with their host keys known.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from xstilts.cluster.exit_codes import EXIT_PREEMPTED
from xstilts.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TIME = re.compile(r"\d+|\d+:\d\d(:\d\d)?|\d+-\d\d?(:\d\d){0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJob:
    """What is asked of SLURM, and what runs there."""

    arguments: tuple[str, ...]
    """Arguments of `train.py`, e.g. `("run", "xtreme")`."""
    nodes: int
    gpus: int
    """Per node; one rank each."""
    time: str
    """Limit as SLURM writes it, `24:00:00` or `2-00:00:00`."""
    project: Path
    """Checkout on the nodes, with its environment in `.venv`."""
    run_dir: Path
    """Shared folder; output, hostfile and, by default of the recipes, runs go below it."""
    name: str = "xstilts"
    partition: str | None = None
    account: str | None = None
    cpus_per_gpu: int = 8
    save_seconds: int = 300
    """How long before the limit the ranks are asked to save."""
    max_restarts: int = 2


def sbatch_script(job: SlurmJob) -> str:
    """The text of the batch script.

    Raises:
        UserError: a value that SLURM would misread.
    """
    _require(job)
    optional = {"partition": job.partition, "account": job.account}
    directives = [
        f"--job-name={job.name}",
        *(f"--{key}={value}" for key, value in optional.items() if value is not None),
        f"--nodes={job.nodes}",
        "--ntasks-per-node=1",
        f"--gpus-per-node={job.gpus}",
        f"--cpus-per-task={job.cpus_per_gpu * job.gpus}",
        f"--time={job.time}",
        "--exclusive",
        f"--signal=B:USR1@{job.save_seconds}",
        "--requeue",
        "--open-mode=append",
        f"--output={job.run_dir}/slurm-%j.out",
    ]
    launch = f'python train.py launch --hostfile "$hostfile" --max-restarts {job.max_restarts}'
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH {directive}" for directive in directives),
        "set -euo pipefail",
        f"cd {shlex.quote(str(job.project))}",
        'export PATH="$PWD/.venv/bin:$PATH"',
        f"hostfile={shlex.quote(str(job.run_dir))}/hostfile-$SLURM_JOB_ID",
        f'scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/$/ slots={job.gpus}/" > "$hostfile"',
        f'python train.py check --hostfile "$hostfile" --run-dir {shlex.quote(str(job.run_dir))}',
        "",
        "# In the background: bash runs a trap only between commands, and `wait` is cut short by it.",
        f"{launch} -- {shlex.join(job.arguments)} &",
        "launch=$!",
        "trap 'kill -USR1 \"$launch\"' USR1 TERM",
        "code=0",
        'wait "$launch" || code=$?',
        'while kill -0 "$launch" 2>/dev/null; do',
        "    code=0",
        '    wait "$launch" || code=$?',
        "done",
        f'if [ "$code" -eq {EXIT_PREEMPTED} ]; then',
        '    scontrol requeue "$SLURM_JOB_ID"',
        "fi",
        'exit "$code"',
    ]
    return "\n".join(lines) + "\n"


def check_sbatch(script: str) -> str | None:
    """What a dry run says against `script`; `None` when it is fine. Submits nothing.

    `bash -n` reads it; where this machine has SLURM, `sbatch --test-only` says whether it could ever start.
    """
    commands = [["bash", "-n"]]
    if shutil.which("sbatch"):
        commands.append(["sbatch", "--test-only"])
    for command in commands:
        done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            return f"{' '.join(command)}: {' '.join(done.stderr.split())}"
    return None


def _require(job: SlurmJob) -> None:
    for option, value in (("--name", job.name), ("--partition", job.partition), ("--account", job.account)):
        if value is not None and not _NAME.fullmatch(value):
            raise UserError(f"{option} {value!r} is no SLURM name; use letters, digits, '_', '.' and '-'")
    if not _TIME.fullmatch(job.time):
        raise UserError(f"--time {job.time!r} is no SLURM time; write e.g. 24:00:00 or 2-00:00:00")
    for option, number in (("--nodes", job.nodes), ("--gpus", job.gpus), ("--cpus-per-gpu", job.cpus_per_gpu)):
        if number < 1:
            raise UserError(f"{option} {number} is too small; give 1 or more")
    if job.save_seconds < 30:
        raise UserError(f"--save-seconds {job.save_seconds} is too short to save a checkpoint; give 30 or more")
    if any(character in str(job.run_dir) for character in " \t\n%'\""):
        raise UserError(
            f"--run-dir {str(job.run_dir)!r} holds a character that #SBATCH lines cannot; choose another folder"
        )
