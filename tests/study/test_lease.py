"""Who holds what in a run directory that several launches share, in several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xstilts.study import owner as owners
from xstilts.study.lease import Leases, read_leases
from xstilts.study.owner import Presence, Watch, read_owners

SILENCE = 0.6

OTHER = """
import sys
import time
from pathlib import Path
from xstilts.study.lease import Leases
from xstilts.study.owner import Presence, Watch

run_dir = Path(sys.argv[1])
presence = Presence(run_dir, float(sys.argv[2]), "study")
presence.begin(lambda: None)
leases = Leases(run_dir, presence, Watch(run_dir, 1))
print("ready", flush=True)
sys.stdin.readline()
for key in sys.argv[3:]:
    lease = leases.take("stage", key, "other")
    print(lease.token if lease else "none", flush=True)
sys.stdin.readline()
"""


class Other:
    """Another process that takes leases when told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[..., Other]]:
    processes = []

    def start(*keys: str, silence: float = SILENCE) -> Other:
        command = [sys.executable, "-c", OTHER, str(tmp_path), str(silence), *keys]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return Other(processes[-1])

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@contextmanager
def here(run_dir: Path, silence: float = SILENCE) -> Iterator[Leases]:
    """This process among the owners."""
    presence, watch = Presence(run_dir, silence, "study"), Watch(run_dir, silence)
    presence.begin(watch.look)
    try:
        yield Leases(run_dir, presence, watch)
    finally:
        presence.end()


def wait_until(true: Callable[[], object], seconds: float = 20) -> float:
    """Waits for it; how long that took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


def test_of_processes_that_want_the_same_each_thing_goes_to_one(tmp_path: Path, other: Callable[..., Other]) -> None:
    keys = [f"{number:02d}" for number in range(40)]
    others = [other(*keys) for _ in range(3)]
    for each in others:
        each.go()
    got = [[each.line() for _ in keys] for each in others]
    for tokens in zip(*got, strict=True):
        assert sorted(tokens) == ["1", "none", "none"]
    found = read_leases(tmp_path)
    assert [(state.claim.kind, state.claim.key, state.claim.token) for state in found] == [
        ("stage", key, 1) for key in keys
    ]
    assert {state.claim.owner for state in found} <= {owner.id for owner in read_owners(tmp_path)}
    assert all(state.released is None and state.owner and not state.owner.ended for state in found)


def test_what_is_released_is_taken_with_the_next_token(tmp_path: Path) -> None:
    with here(tmp_path) as leases:
        first = leases.take("stage", "a", "a label")
        assert first and first.token == 1 and first.check()
        assert leases.take("stage", "a", "a label") is None
        first.release("published")
        (state,) = read_leases(tmp_path)
        assert (state.claim.label, state.released) == ("a label", "published")
        second = leases.take("stage", "a", "a label")
        assert second and second.token == 2
        assert not first.check() and first.lost and first.taken_by() == second.claim.owner
    assert [owner.ended for owner in read_owners(tmp_path)] == [True]


def test_a_launch_that_ended_holds_nothing(tmp_path: Path) -> None:
    with here(tmp_path) as leases:
        assert leases.take("evaluation", "a", "a")
    with here(tmp_path, silence=1000) as leases:
        lease = leases.take("evaluation", "a", "a")
        assert lease and lease.token == 2


def test_a_killed_process_of_this_machine_is_not_waited_for(tmp_path: Path, other: Callable[..., Other]) -> None:
    killed = other("a", silence=1000)
    killed.go()
    assert killed.line() == "1"
    with here(tmp_path, silence=1000) as leases:
        assert leases.take("stage", "a", "a") is None
        killed.process.kill()
        killed.process.wait()
        assert leases.take("stage", "a", "a")


def test_one_of_another_machine_is_waited_for_until_it_was_silent(
    tmp_path: Path, other: Callable[..., Other], monkeypatch: pytest.MonkeyPatch
) -> None:
    far = other("a")
    far.go()
    assert far.line() == "1"
    monkeypatch.setattr(owners, "_machine", lambda: "another")
    with here(tmp_path) as leases:
        time.sleep(3 * SILENCE)
        assert leases.take("stage", "a", "a") is None, "its counter moves"
        far.process.kill()
        assert wait_until(lambda: leases.take("stage", "a", "a")) > SILENCE / 2


def test_a_frozen_one_is_taken_over_and_learns_it(tmp_path: Path, other: Callable[..., Other]) -> None:
    with here(tmp_path) as leases:
        mine = leases.take("stage", "a", "a")
        frozen = other("b")
        frozen.go()
        assert frozen.line() == "1"
        os.kill(frozen.process.pid, signal.SIGSTOP)
        taken = []
        wait_until(lambda: taken.append(leases.take("stage", "b", "b")) or taken[-1])
        assert taken[-1].token == 2
        os.kill(frozen.process.pid, signal.SIGCONT)
        assert mine and mine.check()


def test_time_in_which_nobody_looks_is_no_silence(tmp_path: Path) -> None:
    now = [0.0]
    watch = Watch(tmp_path, 8, clock=lambda: now[0])
    assert not watch.is_gone("unknown")
    now[0] += 1000  # this process was stopped
    assert not watch.is_gone("unknown")
    for _ in range(3):
        now[0] += 2
        assert not watch.is_gone("unknown")
    now[0] += 2
    assert watch.is_gone("unknown")


def test_a_claim_that_was_cut_short_is_waited_for_and_taken_over(tmp_path: Path) -> None:
    (tmp_path / "leases" / "stage-a").mkdir(parents=True)
    (tmp_path / "leases" / "stage-a" / "00000001.json").touch()
    with here(tmp_path) as leases:
        assert read_leases(tmp_path) == []
        assert leases.take("stage", "a", "a") is None
        wait_until(lambda: leases.take("stage", "a", "a"))
    (state,) = read_leases(tmp_path)
    assert state.claim.token == 2


def test_a_directory_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "leases").touch()
    presence = Presence(tmp_path, SILENCE, "study")
    with pytest.raises(owners.UserError, match=r"leases/owners: cannot be written \(.*\); give another --run-dir"):
        presence.begin(lambda: None)
