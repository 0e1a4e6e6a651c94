"""Launches side by side: which slots each has, what they say, and what they end with together."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from xstilts.core.errors import UserError
from xstilts.launch.hostfile import Host, parse_hostfile
from xstilts.launch.lanes import divide_slots, exit_code_of_lanes, included

HOSTFILE = Path("hosts")
TWO = (Host("a", 4, 1), Host("b", 4, 2))


@pytest.mark.parametrize(
    ("num_lanes", "expected"),
    [
        (1, ["a:0,1,2,3@b:0,1,2,3"]),
        (2, ["a:0,1,2,3", "b:0,1,2,3"]),
        (4, ["a:0,1", "a:2,3", "b:0,1", "b:2,3"]),
        (8, [f"{host}:{slot}" for host in "ab" for slot in range(4)]),
        (16, [f"{host}:{slot}" for host in "ab" for slot in range(4)] * 2),
    ],
)
def test_slots_are_divided_evenly_or_shared_evenly(num_lanes: int, expected: list[str]) -> None:
    shares = divide_slots(HOSTFILE, TWO, num_lanes)
    assert shares == expected
    ranks = [sum(host.slots for host in included(HOSTFILE, TWO, share)) for share in shares]
    assert ranks == [max(1, 8 // num_lanes)] * num_lanes


@pytest.mark.parametrize("num_lanes", [-1, 0, 3, 5, 12])
def test_lanes_that_the_slots_cannot_make(num_lanes: int) -> None:
    with pytest.raises(UserError, match=rf"--lanes {num_lanes}: hosts has 8 slots; give 1, 2, 4, 8 or a multiple of 8"):
        divide_slots(HOSTFILE, TWO, num_lanes)


@pytest.mark.parametrize("include", ["c:0", "a", "a:4", "a:0,", "a:0@a:1", "a:0 b:1"])
def test_slots_that_are_not_there(include: str) -> None:
    with pytest.raises(UserError, match="--include: "):
        included(HOSTFILE, TWO, include)


def test_a_lane_over_parts_of_hosts_has_them_in_the_order_of_ranks() -> None:
    assert included(HOSTFILE, TWO, "b:2@a:3,1") == (Host("a", 2, 1), Host("b", 1, 2))


@pytest.mark.parametrize(
    ("codes", "together"),
    [((0, 0), 0), ((0, 75), 75), ((75, 2, 1), 2), ((0, 76, 75), 76), ((0, -9), 1)],
)
def test_exit_code(codes: tuple[int, ...], together: int) -> None:
    assert exit_code_of_lanes(codes) == together


LANE = """
import signal, sys, time
number = int(sys.argv[sys.argv.index("--include") + 1].partition(":")[2])
print(f"slot {number} of {sys.argv[sys.argv.index('--hostfile') + 1]}: {sys.argv[-3:]}", flush=True)
def end(*_):
    print("asked", flush=True)
    sys.exit(75)
# The lane that fails ends by itself, however late the signal finds it.
signal.signal(signal.SIGTERM, end if number else signal.SIG_IGN)
print("ready", file=sys.stderr, flush=True)
if number == 0:
    sys.exit(2)
time.sleep(60)
"""
PARENT = """
import sys
from pathlib import Path
from xstilts.launch.hostfile import parse_hostfile
from xstilts.launch.lanes import divide_slots, run_lanes
from xstilts.launch.options import LaunchOptions
folder = Path(sys.argv[1])
options = LaunchOptions(hostfile=folder / "hosts", script=folder / "lane.py", arguments=("run", "x"))
sys.exit(run_lanes(options, divide_slots(options.hostfile, parse_hostfile(options.hostfile), 2)))
"""


def test_one_lane_that_fails_ends_no_other_and_a_signal_goes_to_all(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("localhost slots=2\n")
    assert parse_hostfile(tmp_path / "hosts")
    (tmp_path / "lane.py").write_text(textwrap.dedent(LANE))
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        ready = {process.stderr.readline() for _ in range(2)}
        assert ready == {"lane 1 | ready\n", "lane 2 | ready\n"}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    expected = {f"lane {n} | slot {n - 1} of {tmp_path / 'hosts'}: ['--', 'run', 'x']" for n in (1, 2)}
    assert set(out.splitlines()) == {*expected, "lane 2 | asked"}
    assert err.splitlines() == ["launch: lane 1 ended with code 2", "launch: lane 2 ended with code 75"]
    assert process.returncode == 2
