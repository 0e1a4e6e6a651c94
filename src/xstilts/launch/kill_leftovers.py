"""Ends every process of one run on this host, found by the run's id in its environment or command line.

Stands alone (standard library only, no `from __future__`): `launch` sends this source, and a last line that calls
`kill_leftovers`, to `python -` on each host, so it works where the checkout is broken, and the id is on no command line
of its own. A process is signalled when the unique run id occurs in what it was started with, never by its name.
"""

import contextlib
import glob
import json
import os
import signal
import time


def processes_of(run_id: str) -> list[int]:
    """Ids of the processes whose environment or command line holds `run_id`, but for this process and its ancestors."""
    needle = run_id.encode()
    spared = _lineage()
    return [
        int(name)
        for name in os.listdir("/proc")
        if name.isdigit() and int(name) not in spared and _mentions(name, needle)
    ]


def kill_leftovers(run_id: str, grace: float, shared_memory: str = "") -> str:
    """Sends SIGTERM, then SIGKILL after `grace` seconds, and looks again until nothing is left (5 s more).

    Args:
        run_id: the id to look for.
        grace: seconds between the two signals.
        shared_memory: glob of files that the run left in shared memory and that are removed, "" for none.

    Returns:
        JSON `{"ended": pids, "left": pids}`; `left` survived SIGKILL (uninterruptible, or another user's).
    """
    ended: set[int] = set()
    for signum, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        asked: set[int] = set()
        while (alive := processes_of(run_id)) and time.monotonic() < deadline:
            for pid in set(alive) - asked:
                _send(pid, signum)
            asked.update(alive)
            time.sleep(0.1)
        ended |= asked
    left = processes_of(run_id)
    if shared_memory and not left:
        for path in glob.glob(shared_memory):
            with contextlib.suppress(FileNotFoundError, PermissionError):  # removed meanwhile, or another user's
                os.unlink(path)
    return json.dumps({"ended": sorted(ended.difference(left)), "left": left})


def _lineage() -> set[int]:
    pids = set()
    pid = os.getpid()
    while pid > 0:
        pids.add(pid)
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            break
    return pids


def _mentions(pid: str, needle: bytes) -> bool:
    for part in ("environ", "cmdline"):
        try:
            with open(f"/proc/{pid}/{part}", "rb") as file:
                if needle in file.read():
                    return True
        except OSError:  # ended meanwhile, or another user's
            continue
    return False


def _send(pid: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)
