"""A run directory belongs to one run at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.study import lock
from xstilts.study.open import open_study, opened_study

MakeRecipe = Callable[..., Recipe]

OTHER_RUN = """
import os
import sys
import time
from pathlib import Path
from xstilts.study.lock import RunLock

lock = RunLock(Path(sys.argv[1]))
lock.acquire()
if not os.fork():
    time.sleep(5)  # a child that outlives it
    os._exit(0)
print("claimed", flush=True)
time.sleep(100)
"""


@pytest.fixture
def other_run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses `tmp_path`."""
    command = [sys.executable, "-c", OTHER_RUN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "claimed\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_until_the_first_has_died(
    recipe: MakeRecipe, tmp_path: Path, other_run: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_SECONDS_TO_END", 0.3)
    unfinished = tmp_path / "stages" / "0f" / "checkpoints" / ".writing-step-00000001"
    unfinished.mkdir(parents=True)
    with pytest.raises(UserError) as caught, opened_study(recipe(), tmp_path, device="cpu"):
        pass
    told = f"{tmp_path} is in use by process {other_run.pid} on {os.uname().nodename}; wait until that ends, or give "
    assert str(caught.value).startswith(told) and "\n" not in str(caught.value)
    open_study(recipe(), tmp_path, device=None)  # a plan only reads
    other_run.kill()
    other_run.wait()
    with opened_study(recipe(), tmp_path, device="cpu"):
        assert (tmp_path / ".lock").read_text() == f"process {os.getpid()} on {os.uname().nodename}\n"


def test_a_directory_is_free_again_when_a_run_has_ended(recipe: MakeRecipe, tmp_path: Path) -> None:
    def run() -> None:
        with opened_study(recipe(), tmp_path, device="cpu"):
            assert not may_lock(tmp_path)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert may_lock(tmp_path)


def may_lock(run_dir: Path) -> bool:
    """Whether another process could take the directory."""
    script = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", script, str(run_dir / ".lock")]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_a_directory_that_cannot_be_claimed_is_told_of(recipe: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    told = r"\.lock: cannot be written \(Is a directory\); give another --run-dir"
    with pytest.raises(UserError, match=told), opened_study(recipe(), tmp_path, device="cpu"):
        pass
