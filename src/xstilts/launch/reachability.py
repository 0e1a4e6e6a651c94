"""First contact with every host before a launch, and the way back: ending what a run left on each of them."""

from __future__ import annotations

import inspect
import ipaddress
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.launch import kill_leftovers as reap
from xstilts.launch.hostfile import Host
from xstilts.launch.ssh import Job, Reply, is_local, run_jobs

CONTACT_SECONDS = 20.0
_REAP_GRACE_SECONDS = 2.0
_REAP_SECONDS = 15.0

_ASK = f"""date +%s.%N
echo "$SSH_CONNECTION"
hostname -I 2>/dev/null || echo
test -x {shlex.quote(sys.executable)} || {{ echo 'no {sys.executable} there' >&2; exit 1; }}"""


@dataclass(frozen=True, slots=True)
class Contact:
    """What one host said at first contact."""

    problem: str | None = None
    """Why there is nothing to say; `None` when it answered and has this python."""
    our_address: str = "127.0.0.1"
    """The address of this machine as that host sees it."""
    address: str = "127.0.0.1"
    """An address of that host which the other hosts can be expected to reach."""
    clock_ahead: float = 0.0
    """Seconds by which its clock is ahead of ours."""
    clock_error: float = 0.0
    """Half the time of the exchange: `clock_ahead` is not known better."""


def contact_hosts(hosts: Sequence[Host]) -> dict[str, Contact]:
    """Asks every host at the same time, within 20 s."""
    replies = run_jobs([Job(host.name, ("sh", "-c", _ASK)) for host in hosts], CONTACT_SECONDS)
    return {reply.host: read_contact(reply) for reply in replies}


def require_contact(hostfile: Path, hosts: Sequence[Host], contacts: dict[str, Contact]) -> None:
    """Raises a `UserError` for the first host that did not answer, with its line of `hostfile`."""
    for host in hosts:
        if (problem := contacts[host.name].problem) is not None:
            raise UserError.at(
                hostfile,
                host.line,
                f"host '{host.name}' cannot be used: {problem}",
                f"'train.py check --hostfile {hostfile}' says more",
            )


def read_contact(reply: Reply) -> Contact:
    """The meaning of a reply to the questions of `contact_hosts`."""
    if reply.problem is not None:
        return Contact(problem=reply.problem)
    date, connection, addresses, *_ = [*reply.output.split("\n"), "", "", ""]
    try:
        ahead = float(date) - (reply.started + reply.seconds / 2)
    except ValueError:
        return Contact(problem=f"its shell prints {date[:40]!r} before anything is asked")
    words = connection.split()
    if is_local(reply.host):
        ours = reached = "127.0.0.1"
    elif len(words) != 4:
        return Contact(problem="its sshd does not say over which addresses it was reached (SSH_CONNECTION)")
    else:
        ours, reached = words[0], words[2]
        if ipaddress.ip_address(reached.partition("%")[0]).is_loopback:  # this machine under its own name
            reached = next(iter(addresses.split()), reply.host)
    return Contact(our_address=ours, address=reached, clock_ahead=ahead, clock_error=reply.seconds / 2)


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of the processes of a run on one host."""

    host: str
    ended: int
    left: int
    problem: str | None
    """Why nothing is known; `None` when the host answered."""

    @property
    def clean(self) -> bool:
        """Whether it is certain that nothing is left."""
        return self.problem is None and self.left == 0

    def __str__(self) -> str:
        return f"{self.host}: {self.problem or f'ended {self.ended}, left {self.left}'}"


def end_run(hosts: Sequence[str], run_id: str, shared_memory: str) -> tuple[Ending, ...]:
    """Ends every process of the run on `hosts` and on this machine, within 15 s.

    Args:
        hosts: names as in the hostfile.
        run_id: the id that its processes carry.
        shared_memory: glob of the files that it may have left in shared memory.
    """
    source = inspect.getsource(reap) + f"\nprint(reap({run_id!r}, {_REAP_GRACE_SECONDS!r}, {shared_memory!r}))\n"
    everywhere = dict.fromkeys(["localhost", *hosts])
    endings = []
    for reply in run_jobs([Job(host, (sys.executable, "-"), source) for host in everywhere], _REAP_SECONDS):
        counts = {"ended": [], "left": []} if reply.problem else json.loads(reply.output)
        endings.append(Ending(reply.host, len(counts["ended"]), len(counts["left"]), reply.problem))
    return tuple(endings)
