"""Whether every host can be reached before a launch, by which address, and how far its clock is off."""

from __future__ import annotations

import ipaddress
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.entrypoint import program_name
from xstilts.core.errors import UserError
from xstilts.launch.hostfile import Host
from xstilts.launch.ssh import Job, Reply, is_local, run_jobs

_TIMEOUT_SECONDS = 20.0

_ASK = f"""date +%s.%N
echo "$SSH_CONNECTION"
hostname -I 2>/dev/null || echo
test -x {shlex.quote(sys.executable)} || {{ echo 'no {sys.executable} there' >&2; exit 1; }}"""


@dataclass(frozen=True, slots=True)
class Reachability:
    """What one host answered."""

    problem: str | None = None
    """Why it cannot be used; `None` when it answered and has this python."""
    our_address: str = "127.0.0.1"
    """The address of this machine as that host sees it."""
    address: str = "127.0.0.1"
    """An address of that host which the other hosts can be expected to reach."""
    clock_ahead: float = 0.0
    """Seconds by which its clock is ahead of ours."""
    clock_error: float = 0.0
    """Half the time of the exchange: `clock_ahead` is not known better."""


def check_reachability(hosts: Sequence[Host]) -> dict[str, Reachability]:
    """Asks every host at the same time, within 20 s."""
    replies = run_jobs([Job(host.name, ("sh", "-c", _ASK)) for host in hosts], _TIMEOUT_SECONDS)
    return {reply.host: parse_reachability(reply) for reply in replies}


def require_reachable(hostfile: Path, hosts: Sequence[Host], reachability: dict[str, Reachability]) -> None:
    """Raises a `UserError` for the first host that did not answer, with its line of `hostfile`."""
    for host in hosts:
        if (problem := reachability[host.name].problem) is not None:
            raise UserError.at(
                hostfile,
                host.line,
                f"host '{host.name}' cannot be used: {problem}",
                f"'{program_name()} check --hostfile {hostfile}' says more",
            )


def parse_reachability(reply: Reply) -> Reachability:
    """The meaning of a reply to the questions of `check_reachability`."""
    if reply.problem is not None:
        return Reachability(problem=reply.problem)
    date, connection, addresses, *_ = [*reply.output.split("\n"), "", "", ""]
    try:
        ahead = float(date) - (reply.started + reply.seconds / 2)
    except ValueError:
        return Reachability(problem=f"its shell prints {date[:40]!r} before anything is asked")
    words = connection.split()
    if is_local(reply.host):
        ours = reached = "127.0.0.1"
    elif len(words) != 4:
        return Reachability(problem="its sshd does not say over which addresses it was reached (SSH_CONNECTION)")
    else:
        ours, reached = words[0], words[2]
        if ipaddress.ip_address(reached.partition("%")[0]).is_loopback:  # this machine under its own name
            reached = next(iter(addresses.split()), reply.host)
    return Reachability(our_address=ours, address=reached, clock_ahead=ahead, clock_error=reply.seconds / 2)
