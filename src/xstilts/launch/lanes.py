"""Several launches at once on the slots of one hostfile, each under a supervisor and on a port of its own.

They know nothing of each other: what they work on, they take by leases in the run directory.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from types import FrameType
from typing import IO

from xstilts.core.entrypoint import MODULE
from xstilts.core.errors import UserError
from xstilts.core.exit_codes import EXIT_FAILED, EXIT_OK, EXIT_PREEMPTED
from xstilts.launch.hostfile import Host
from xstilts.launch.launcher_process import free_port
from xstilts.launch.options import LaunchOptions

_PART = re.compile(r"([^:@]+):(\d+(?:,\d+)*)")


def divide_slots(hostfile: Path, hosts: Sequence[Host], num_lanes: int) -> list[str]:
    """Which slots each lane has, as `--include` takes them: equal shares of consecutive ranks, or, where lanes are more
    than slots, one slot each, which equally many share.

    Raises:
        UserError: the slots cannot be divided so.
    """
    slots = [(host.name, slot) for host in hosts for slot in range(host.slots)]
    if num_lanes < 1 or (len(slots) % num_lanes and num_lanes % len(slots)):
        fitting = [n for n in range(1, len(slots) + 1) if len(slots) % n == 0]
        numbers = f"{', '.join(map(str, fitting))} or a multiple of {len(slots)}"
        raise UserError(f"--lanes {num_lanes}: {hostfile} has {len(slots)} slots; give {numbers}")
    per_lane = max(1, len(slots) // num_lanes)
    shares = [slots[i * per_lane % len(slots) :][:per_lane] for i in range(num_lanes)]
    return [_include(share) for share in shares]


def included(hostfile: Path, hosts: Sequence[Host], include: str) -> tuple[Host, ...]:
    """The hosts of `--include`, with the number of their slots that it names; all hosts where it is empty.

    Raises:
        UserError: it is malformed, or names what the hostfile has not.
    """
    if not include:
        return tuple(hosts)
    known = {host.name: host for host in hosts}
    found: list[Host] = []
    for part in include.split("@"):
        match = _PART.fullmatch(part)
        if match is None or match[1] not in known:
            raise UserError(f"--include: {part!r} names no slots of {hostfile}; write HOST:0,1[@HOST:0,1]")
        host, numbers = known[match[1]], set(map(int, match[2].split(",")))
        if max(numbers) >= host.slots or host.name in {other.name for other in found}:
            raise UserError(f"--include: {part!r}, but {hostfile} gives that host {host.slots} slots, from 0, once")
        found.append(replace(host, slots=len(numbers)))
    return tuple(host for host in sorted(found, key=lambda host: host.line))


def run_lanes(options: LaunchOptions, includes: Sequence[str]) -> int:
    """Runs a launch for each lane; every line that one says begins with its number. A lane that ends ends no other.

    The exit code is that of the first lane that failed, else 75 if one was asked to stop, else 0. Signals go to all.
    """
    lock = Lock()
    ports: set[int] = set()
    lanes: list[subprocess.Popen[str]] = []
    readers = []
    forward = _forwarding(lanes)
    for number, include in enumerate(includes, start=1):
        port = _port(options, number, ports)
        ports.add(port)
        command = _command(options, include, port)
        lane = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        lanes.append(lane)
        for source, target in ((lane.stdout, sys.stdout), (lane.stderr, sys.stderr)):
            assert source
            readers.append(Thread(target=_prefix, args=(source, target, f"lane {number} | ", lock), daemon=True))
            readers[-1].start()
    codes = [lane.wait() for lane in lanes]
    for reader in readers:
        reader.join(timeout=10)
    for signum, before in forward.items():
        signal.signal(signum, before)
    for number, code in enumerate(codes, start=1):
        if code:
            print(f"launch: lane {number} ended with code {code}", file=sys.stderr, flush=True)
    return exit_code_of_lanes(codes)


def exit_code_of_lanes(codes: Sequence[int]) -> int:
    """What all lanes together end with; one that a signal has ended has failed."""
    failed = [code if code > 0 else EXIT_FAILED for code in codes if code not in (EXIT_OK, EXIT_PREEMPTED)]
    return failed[0] if failed else max(codes)


def _include(slots: Sequence[tuple[str, int]]) -> str:
    names = dict.fromkeys(name for name, _ in slots)
    return "@".join(f"{name}:{','.join(str(slot) for host, slot in slots if host == name)}" for name in names)


def _port(options: LaunchOptions, number: int, taken: set[int]) -> int:
    if options.master_port is not None:
        return options.master_port + number - 1
    while (port := free_port()) in taken:
        pass
    return port


def _command(options: LaunchOptions, include: str, port: int) -> list[str]:
    program = [str(options.script)] if options.script else ["-m", MODULE]
    command = [sys.executable, *program, "launch", "--hostfile", str(options.hostfile), "--include", include]
    if options.launcher_args:
        command.append(f"--launcher-args={options.launcher_args}")
    if options.master_addr:
        command += ["--master-addr", options.master_addr]
    command += ["--master-port", str(port), "--max-restarts", str(options.max_restarts)]
    for name in ("silence", "start_timeout", "hang_timeout", "save_timeout"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return [*command, "--", *options.arguments]


def _forwarding(
    lanes: Sequence[subprocess.Popen[str]],
) -> dict[int, signal.Handlers | int | Callable[..., object] | None]:
    """Hands signals on to the lanes from now on, but those that are ignored; returns the handlers from before."""

    def forward(signum: int, frame: FrameType | None) -> None:
        for lane in lanes:
            if lane.poll() is None:
                lane.send_signal(signum)

    handled = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT)
    return {
        signum: signal.signal(signum, forward) for signum in handled if signal.getsignal(signum) is not signal.SIG_IGN
    }


def _prefix(source: IO[str], target: IO[str], prefix: str, lock: Lock) -> None:
    for line in source:
        with lock:
            target.write(f"{prefix}{line.rstrip()}\n")
            target.flush()
