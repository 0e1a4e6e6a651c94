"""The jobs that end, on each host, what a run has left there."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from xstilts.launch import kill_leftovers
from xstilts.launch.ssh import Job, run_jobs

_GRACE_SECONDS = 2.0
_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class KillResult:
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


def kill_leftovers_on(hosts: Sequence[str], run_id: str, shared_memory: str) -> tuple[KillResult, ...]:
    """Ends every process of the run on `hosts` and on this machine, within 15 s.

    Args:
        hosts: names as in the hostfile.
        run_id: the id that its processes carry.
        shared_memory: glob of the files that it may have left in shared memory.
    """
    arguments = f"{run_id!r}, {_GRACE_SECONDS!r}, {shared_memory!r}"
    source = f"{inspect.getsource(kill_leftovers)}\nprint(kill_leftovers({arguments}))\n"
    everywhere = dict.fromkeys(["localhost", *hosts])
    results = []
    for reply in run_jobs([Job(host, (sys.executable, "-"), source) for host in everywhere], _TIMEOUT_SECONDS):
        counts = {"ended": [], "left": []} if reply.problem else json.loads(reply.output)
        results.append(KillResult(reply.host, len(counts["ended"]), len(counts["left"]), reply.problem))
    return tuple(results)
