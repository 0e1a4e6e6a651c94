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

from xstilts.cluster import reap
from xstilts.cluster.hostfile import Host
from xstilts.cluster.ssh import is_local, run_on_hosts
from xstilts.errors import UserError

_CONTACT_SECONDS = 20.0
REAP_GRACE_SECONDS = 2.0
_REAP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Contact:
    """What one host said at first contact."""

    our_address: str
    """The address of this machine as that host sees it."""
    address: str
    """An address of that host which the other hosts can be expected to reach."""


def contact_hosts(hostfile: Path, hosts: Sequence[Host]) -> dict[str, Contact]:
    """Reaches every host at the same time, within 20 s.

    Raises:
        UserError: hosts that ssh cannot reach, or on which this python does not exist, with their lines of `hostfile`.
    """
    test = f"test -x {shlex.quote(sys.executable)} || {{ echo 'no {sys.executable} there' >&2; exit 1; }}"
    script = f'{test}; echo "$SSH_CONNECTION"; hostname -I || true'
    replies = run_on_hosts({host.name: ["sh", "-c", script] for host in hosts}, _CONTACT_SECONDS)
    for host in hosts:
        if (problem := replies[host.name].problem) is not None:
            raise UserError.at(
                hostfile,
                host.line,
                f"host '{host.name}' cannot be used: {problem}",
                f"run 'ssh {host.name} hostname' by hand and see 'train.py check --hostfile {hostfile}'",
            )
    return {host.name: _read_contact(host.name, replies[host.name].output) for host in hosts}


def _read_contact(name: str, output: str) -> Contact:
    connection, _, addresses = output.partition("\n")
    words = connection.split()
    if is_local(name) or len(words) != 4:
        return Contact(our_address="127.0.0.1", address="127.0.0.1" if is_local(name) else name)
    reached = words[2]
    if ipaddress.ip_address(reached.partition("%")[0]).is_loopback:  # this machine under its own name
        reached = next(iter(addresses.split()), name)
    return Contact(our_address=words[0], address=reached)


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
        if self.problem is not None:
            return f"{self.host}: {self.problem}"
        return f"{self.host}: ended {self.ended}, left {self.left}"


def end_run(hosts: Sequence[str], run_id: str, shared_memory: str) -> tuple[Ending, ...]:
    """Ends every process of the run on `hosts` and on this machine, within 15 s.

    Args:
        hosts: names as in the hostfile.
        run_id: the id that its processes carry.
        shared_memory: glob of the files that it may have left in shared memory.
    """
    call = f"\nprint(reap({run_id!r}, {REAP_GRACE_SECONDS!r}, {shared_memory!r}))\n"
    everywhere = dict.fromkeys(["localhost", *hosts])
    replies = run_on_hosts(
        {host: [sys.executable, "-"] for host in everywhere}, _REAP_SECONDS, stdin=inspect.getsource(reap) + call
    )
    endings = []
    for host in everywhere:
        problem = replies[host].problem
        counts = {"ended": [], "left": []} if problem else json.loads(replies[host].output)
        endings.append(Ending(host, len(counts["ended"]), len(counts["left"]), problem))
    return tuple(endings)
