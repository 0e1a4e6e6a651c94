"""Commands on hosts, in parallel and bounded in time, by ssh with host-key checking on."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

_OPTIONS = "BatchMode=yes StrictHostKeyChecking=yes ConnectTimeout=8 ServerAliveInterval=5 ServerAliveCountMax=3"
SSH_OPTIONS = " ".join(f"-o {option}" for option in _OPTIONS.split())
"""Never ask, never accept an unknown or changed host key, notice a dead link within 15 s. Other options: ssh_config."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Job:
    """A command for one host."""

    host: str
    argv: tuple[str, ...]
    stdin: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command on one host did."""

    host: str
    code: int | None
    """Its exit code, 255 where ssh itself failed, `None` where it did not end in time."""
    output: str
    error: str
    started: float
    """Seconds since the epoch, by the clock here, when it was started."""
    seconds: float

    @property
    def problem(self) -> str | None:
        """One line that says why there is no good answer; `None` when the command ended with 0."""
        if self.code == 0:
            return None
        if self.code is None:
            return f"no answer within {self.seconds:.0f} s"
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        said = next((line for line in reversed(lines) if not line.startswith("Warning:")), "no message")
        return f"ssh failed: {said}" if self.code == 255 else f"exit code {self.code}: {said}"


def is_local(host: str) -> bool:
    """Whether `host` names this machine by loopback, where DeepSpeed and we start processes without ssh."""
    return host in _LOCAL_NAMES


def run_jobs(jobs: Sequence[Job], timeout: float) -> list[Reply]:
    """Runs all `jobs` at the same time; every reply, in the same order, is there after `timeout` seconds at the latest.

    A command that takes longer loses its ssh; what it left on the host is the caller's to end. Give each host one job:
    an sshd drops connections from the tenth on that is not yet logged in (`MaxStartups`).
    """
    # A thread for each, for a job that waits for another would be late; 200 hosts stay below the usual 1024 open files.
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        return list(pool.map(lambda job: _run(job, timeout), jobs))


def _run(job: Job, timeout: float) -> Reply:
    command = list(job.argv)
    if not is_local(job.host):
        command = ["ssh", *shlex.split(SSH_OPTIONS), "-T", job.host, shlex.join(job.argv)]
    started, clock = time.time(), time.monotonic()
    try:
        done = subprocess.run(
            command,
            input=job.stdin,
            capture_output=True,
            timeout=timeout,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Reply(job.host, None, "", "", started, timeout)
    except OSError as error:
        problem = f"{error.filename or 'ssh'}: {error.strerror}"
        return Reply(job.host, 255, "", problem, started, time.monotonic() - clock)
    return Reply(job.host, done.returncode, done.stdout, done.stderr, started, time.monotonic() - clock)
