"""A batch script for SLURM: the job's nodes become a hostfile, `check` looks at them, and `launch` runs on them.

SLURM's warning before the time limit (`--signal`) goes to the shell of the script alone, which hands it on: the
supervisor has the ranks save, and its exit code 75 puts the job back into the queue, where it continues. SIGTERM (a
preemption, `scancel`) comes to the shell, the supervisor and every other process at once; what the shell hands on is
then a second request within moments, which the supervisor takes for the same one. Needs ssh between the nodes of a
job, with their host keys known.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.entrypoint import MODULE
from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_PREEMPTED

_SUPERVISE = f"""\
# The launch is in the background, because bash runs a trap only between commands; `wait` is cut short by one.
asked=
ask() {{
    interrupted=1
    if [ -z "$asked" ]; then
        asked=$1
        kill -USR1 "$launch" 2>/dev/null || :  # it may just have ended
    fi
}}
trap 'ask USR1' USR1
trap 'ask TERM' TERM
until
    interrupted=
    code=0
    wait "$launch" || code=$?
    [ -z "$interrupted" ]  # otherwise the code is that of the signal
do :; done
still_running() {{ squeue --noheader --jobs="$SLURM_JOB_ID" --states=RUNNING | grep -q .; }}
# A job that is preempted still counts as running; after scancel it does not, and stays ended.
if [ "$code" -eq {EXIT_PREEMPTED} ] && {{ [ "$asked" != TERM ] || still_running; }}; then
    scontrol requeue "$SLURM_JOB_ID" || echo "not requeued: submit it again, and it continues" >&2
fi
exit "$code"
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TIME = re.compile(r"\d+|\d+:\d\d(:\d\d)?|\d+-\d\d?(:\d\d){0,2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJob:
    """What is asked of SLURM, and what runs there."""

    arguments: tuple[str, ...]
    """Arguments of the program, e.g. `("run", "xtreme")`."""
    nodes: int
    gpus: int
    """Per node; one rank each."""
    time: str
    """Limit as SLURM writes it, `24:00:00` or `2-00:00:00`."""
    script: Path | None
    """`train.py` of a checkout on the nodes, with its environment in `.venv` beside it; None for the installed module,
    whose Python is then at the same path there."""
    run_dir: Path
    """Shared folder; output, hostfile and, by default of the recipes, runs go below it."""
    name: str = "xstilts"
    partition: str | None = None
    account: str | None = None
    cpus_per_gpu: int = 8
    save_seconds: int = 300
    """How long before the limit the ranks are asked to save."""
    max_restarts: int = 2
    lanes: int = 1
    """Launches side by side in a job, which share the work of its study."""
    tasks: int = 1
    """Such jobs, as the tasks of an array; they share it too."""


def sbatch_script(job: SlurmJob) -> str:
    """The text of the batch script. Makes `job.run_dir`, and says so: without it SLURM ends a job and leaves no log.

    Raises:
        UserError: a value that SLURM would misread, or a folder that cannot be made.
    """
    _require(job)
    _make(job.run_dir)
    optional = {"partition": job.partition, "account": job.account}
    directives = [
        f"--job-name={job.name}",
        *(f"--{key}={value}" for key, value in optional.items() if value is not None),
        *([f"--array=1-{job.tasks}"] if job.tasks > 1 else []),
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
    if job.script is not None:
        start = ["set -euo pipefail", f"cd {shlex.quote(str(job.script.parent))}", 'export PATH="$PWD/.venv/bin:$PATH"']
        program = f"python {job.script.name}"
    else:
        start = ["set -euo pipefail"]
        program = f"{shlex.quote(sys.executable)} -m {MODULE}"
    lanes = f" --lanes {job.lanes}" if job.lanes > 1 else ""
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH {directive}" for directive in directives),
        *start,
        f"hostfile={shlex.quote(str(job.run_dir))}/hostfile-$SLURM_JOB_ID",
        f'scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/$/ slots={job.gpus}/" > "$hostfile"',
        f'{program} check --hostfile "$hostfile" --run-dir {shlex.quote(str(job.run_dir))}',
        "",
        f'{program} launch --hostfile "$hostfile"{lanes} --max-restarts {job.max_restarts} '
        f"-- {shlex.join(job.arguments)} &",
        "launch=$!",
        _SUPERVISE,
    ]
    return "\n".join(lines)


def _make(run_dir: Path) -> None:
    if run_dir.is_dir():
        return
    try:
        run_dir.mkdir(parents=True)
    except OSError as error:
        remedy = "make it, or name another shared folder with --run-dir"
        raise UserError.at(run_dir, None, f"cannot make the folder ({error.strerror})", remedy) from None
    print(f"slurm: made {run_dir} for the output of the job", file=sys.stderr)


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
    numbers = {"--nodes": job.nodes, "--gpus": job.gpus, "--cpus-per-gpu": job.cpus_per_gpu}
    for option, number in {**numbers, "--lanes": job.lanes, "--tasks": job.tasks}.items():
        if number < 1:
            raise UserError(f"{option} {number} is too small; give 1 or more")
    if job.save_seconds < 30:
        raise UserError(f"--save-seconds {job.save_seconds} is too short to save a checkpoint; give 30 or more")
    if any(character in str(job.run_dir) for character in " \t\n%'\""):
        raise UserError(
            f"--run-dir {str(job.run_dir)!r} holds a character that #SBATCH lines cannot; choose another folder"
        )
