"""Checkpoints are written whole or not at all, and the right ones are kept."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from xstilts.core.errors import DiskFullError, StorageError
from xstilts.core.exit_codes import EXIT_DISK_FULL, exit_code_of
from xstilts.core.sealed import write_sealed
from xstilts.training.checkpoint import saver as module
from xstilts.training.checkpoint.format import Progress, best_path, checkpoints, find_latest, open_tensors, verify
from xstilts.training.checkpoint.saver import Saver


def save_steps(saver: Saver, engine: Any, steps: list[int]) -> None:
    for step in steps:
        saver.save(engine.itself, Progress(step=step))
    saver.wait()


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("keep", "keep_every", "kept"),
    [
        (1, None, [60]),
        (2, None, [60, 50]),
        (1, 20, [60, 40, 20]),
        (2, 30, [60, 50, 30]),
        (9, None, [60, 50, 40, 30, 20, 10]),
    ],
)
def test_the_newest_are_kept_and_every_nth(
    tmp_path: Path, engine: Any, keep: int, keep_every: int | None, kept: list[int], asynchronous: bool
) -> None:
    saver = Saver(tmp_path, keep=keep, keep_every=keep_every, asynchronous=asynchronous)
    save_steps(saver, engine, [10, 20, 30, 40, 50, 60])
    assert list(checkpoints(tmp_path)) == kept
    assert all(verify(path).step == step for step, path in checkpoints(tmp_path).items())


def test_best_weights_stay_as_long_as_a_checkpoint_speaks_of_them(tmp_path: Path, engine: Any) -> None:
    saver = Saver(tmp_path, keep=2)
    for step, best_step in ((10, 5), (20, 15), (30, 15), (40, 35)):
        write_sealed(best_path(tmp_path, best_step), engine.parameters)
        saver.save(engine.itself, Progress(step=step, best_step=best_step))
    # Steps 30 and 40 are kept; the first may yet be needed, should the second be damaged.
    assert [path.name for path in sorted(tmp_path.glob("best-*"))] == [
        "best-00000015.safetensors",
        "best-00000035.safetensors",
    ]
    write_sealed(best_path(tmp_path, 45), engine.parameters)
    saver.save(engine.itself, Progress(step=44, best_step=35))
    assert best_path(tmp_path, 45).exists(), "belongs to a checkpoint to come"


def test_checkpoints_of_later_steps_go_for_they_were_found_damaged(tmp_path: Path, engine: Any) -> None:
    saver = Saver(tmp_path, keep=2)
    save_steps(saver, engine, [10, 20, 30])
    (tmp_path / "step-00000030" / "manifest.json").unlink()
    save_steps(saver, engine, [25])
    assert list(checkpoints(tmp_path)) == [25, 20]


def test_a_damaged_one_of_the_same_step_is_replaced_and_a_whole_one_stays(tmp_path: Path, engine: Any) -> None:
    saver = Saver(tmp_path, keep=2)
    save_steps(saver, engine, [10])
    inode = (tmp_path / "step-00000010").stat().st_ino
    save_steps(saver, engine, [10])
    assert (tmp_path / "step-00000010").stat().st_ino == inode
    (tmp_path / "step-00000010" / "manifest.json").write_bytes(b"")
    save_steps(saver, engine, [10])
    assert verify(tmp_path / "step-00000010").step == 10


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("name", ["_write_file", "whole_file", "xstilts.training.checkpoint.share.sync", "os.replace"])
def test_a_kill_while_writing_leaves_the_last_one(
    tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch, name: str, asynchronous: bool
) -> None:
    save_steps(Saver(tmp_path, keep=1), engine, [10])

    class KilledError(Exception):
        pass

    def die(*_: Any) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(name if "." in name else f"{module.__name__}.{name}", die)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # a dead process tidies nothing
        with pytest.raises(KilledError):
            save_steps(Saver(tmp_path, keep=1, asynchronous=asynchronous), engine, [20])
    found = find_latest(tmp_path, pytest.fail)
    assert found is not None and found[1].step == 10
    save_steps(Saver(tmp_path, keep=1), engine, [30])
    assert contents(tmp_path) == ["step-00000030"], "what was half written is gone"


@contextlib.contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("num_bytes", [0, 100, 500], ids="at {} bytes".format)
def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path, engine: Any, num_bytes: int, asynchronous: bool) -> None:
    saver = Saver(tmp_path, keep=1, asynchronous=asynchronous)
    save_steps(saver, engine, [10])
    with largest_file(num_bytes), pytest.raises(DiskFullError, match=r"cannot write .*step-00000020.*; free space"):
        save_steps(saver, engine, [20])
    assert contents(tmp_path) == ["step-00000010"]
    assert find_latest(tmp_path, pytest.fail) is not None
    save_steps(saver, engine, [20])
    assert contents(tmp_path) == ["step-00000020"]


def test_a_full_file_system_leaves_the_last_good_one(tmp_path: Path, engine: Any) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        saver = Saver(tmp_path, keep=1)
        save_steps(saver, engine, [10])
        with contextlib.suppress(OSError), (tmp_path / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))
        with pytest.raises(DiskFullError, match="No space left on device") as caught:
            save_steps(saver, engine, [20])
        assert exit_code_of(caught.value) == EXIT_DISK_FULL
        (tmp_path / "ballast").unlink()
        assert contents(tmp_path) == ["step-00000010"]
        assert find_latest(tmp_path, pytest.fail) is not None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_asynchronous_save_holds_the_state_of_its_moment(
    tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write = threading.Event()
    write = module._write_file
    monkeypatch.setattr(module, "_write_file", lambda *given: may_write.wait(10) and write(*given))
    saver = Saver(tmp_path, keep=1, asynchronous=True)
    engine.train(0, 2)
    then, progress = engine.parameters, Progress(step=2, extra={"seen": [1]})
    saver.save(engine.itself, progress)
    engine.train(2, 5)
    progress.step, progress.extra["seen"] = 5, [1, 2]
    assert list(checkpoints(tmp_path)) == []
    may_write.set()
    saver.wait()
    found = find_latest(tmp_path, pytest.fail)
    assert found is not None
    assert found[1] == Progress(step=2, updates=2, extra={"seen": [1]})
    tensors = open_tensors(found[0], engine.shapes)
    assert all(torch.equal(tensors[f"master/{name}"](), value) for name, value in then.items())


def test_what_failed_aside_is_raised_at_the_next_save_and_only_once(
    tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = Saver(tmp_path, keep=1, asynchronous=True)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_file", lambda *_: OSError(errno.EACCES, "Permission denied"))
        saver.save(engine.itself, Progress(step=1))
        with pytest.raises(StorageError, match=r"Permission denied.*mend the run directory"):
            saver.wait()
    save_steps(saver, engine, [2])
    assert list(checkpoints(tmp_path)) == [2]
