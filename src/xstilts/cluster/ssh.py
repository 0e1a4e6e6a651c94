"""Commands on hosts, in parallel and bounded in time, by ssh with host-key checking on."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

_OPTIONS = "BatchMode=yes StrictHostKeyChecking=yes ConnectTimeout=8 ServerAliveInterval=5 ServerAliveCountMax=3"
SSH_OPTIONS = " ".join(f"-o {option}" for option in _OPTIONS.split())
"""Never ask, never accept an unknown or changed host key, notice a dead link within 15 s. Other options: ssh_config."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_PARALLEL = 64


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command on one host did."""

    host: str
    code: int | None
    """Its exit code, 255 where ssh itself failed, `None` where it did not end in time."""
    output: str
    error: str
    started: float
    """Seconds since the epoch on this machine when the command was started."""
    seconds: float

    @property
    def problem(self) -> str | None:
        """One line that says why there is no good answer; `None` when the command ended with 0."""
        if self.code == 0:
            return None
        if self.code is None:
            return f"no answer within {self.seconds:.0f} s"
        lines = [line.strip() for line in self.error.splitlines() if line.strip()]
        said = next(
            (line for line in reversed(lines) if not line.startswith(("Warning:", "Permanently"))), "no message"
        )
        return f"ssh failed: {said}" if self.code == 255 else f"exit code {self.code}: {said}"


def is_local(host: str) -> bool:
    """Whether `host` names this machine by loopback, where DeepSpeed and we start processes without ssh."""
    return host in _LOCAL_NAMES


def command_on(host: str, argv: Sequence[str]) -> list[str]:
    """`argv` as it is started from here to run on `host`."""
    return list(argv) if is_local(host) else ["ssh", *shlex.split(SSH_OPTIONS), "-T", host, shlex.join(argv)]


def run_on_hosts(
    commands: Mapping[str, Sequence[str]], timeout: float, stdin: str | Mapping[str, str] = ""
) -> dict[str, Reply]:
    """Runs one command on each host at the same time; every reply is there after `timeout` seconds at the latest.

    Args:
        commands: host to argument vector.
        timeout: seconds; a command that takes longer is killed here (what it left on the host is the caller's to end).
        stdin: text given to every command, or one text per host.
    """

    def run(host: str) -> Reply:
        started, clock = time.time(), time.monotonic()
        text = stdin if isinstance(stdin, str) else stdin[host]
        try:
            done = subprocess.run(
                command_on(host, commands[host]),
                input=text,
                capture_output=True,
                timeout=timeout,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Reply(host, None, "", "", started, timeout)
        except OSError as error:
            return Reply(host, 255, "", f"{error.filename}: {error.strerror}", started, time.monotonic() - clock)
        return Reply(host, done.returncode, done.stdout, done.stderr, started, time.monotonic() - clock)

    if not commands:
        return {}
    with ThreadPoolExecutor(min(_MAX_PARALLEL, len(commands))) as pool:
        return {reply.host: reply for reply in pool.map(run, commands)}
