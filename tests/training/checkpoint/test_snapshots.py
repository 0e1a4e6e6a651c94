"""Weights kept along the way: the newest, and those that a checkpoint to resume from still needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from xstilts.core.sealed import read_sealed
from xstilts.training.checkpoint.format import Progress, find_latest
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.checkpoint.snapshot_files import snapshot_path
from xstilts.training.checkpoint.snapshots import take_snapshot


def kept(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder.parent / "snapshots").glob("*.safetensors"))


def test_the_newest_stay_and_those_of_checkpoints(engine: Any, tmp_path: Path) -> None:
    folder, progress, weights = tmp_path / "checkpoints", Progress(), {}
    with Saver(folder, keep=1) as saver:
        for step in range(1, 6):
            engine.train(step - 1, step)
            progress.step = step
            take_snapshot(engine.itself, progress, saver, folder, keep=2)
            weights[step] = engine.parameters
            if step == 3:
                saver.save(engine.itself, progress)
        # The checkpoint of step 3 speaks of 2 and 3, the stage of 4 and 5.
        assert list(progress.snapshots) == [4, 5]
        assert kept(folder) == [2, 3, 4, 5]
        saver.save(engine.itself, progress)
        progress.step = 6
        take_snapshot(engine.itself, progress, saver, folder, keep=2)
    assert kept(folder) == [4, 5, 6]
    for step in (4, 5):
        found = read_sealed(snapshot_path(folder, step), "", progress.snapshots.get(step))
        assert all(torch.equal(found[name], tensor) for name, tensor in weights[step].items())


def test_a_checkpoint_whose_snapshot_is_damaged_is_passed_over(engine: Any, tmp_path: Path) -> None:
    folder, progress = tmp_path / "checkpoints", Progress(step=1)
    with Saver(folder, keep=2) as saver:
        saver.save(engine.itself, progress)
        take_snapshot(engine.itself, progress, saver, folder, keep=2)
        progress.step = 2
        saver.save(engine.itself, progress)
    latest = find_latest(folder, print)
    assert latest is not None and latest[1].snapshots == progress.snapshots
    path = snapshot_path(folder, 1)
    path.write_bytes(path.read_bytes()[:-3])
    said: list[str] = []
    latest = find_latest(folder, said.append)
    assert latest is not None and (latest[1].step, latest[1].snapshots) == (1, {})
    assert str(path) in said[0] and "trying the one before" in said[0]
    path.unlink()
    assert find_latest(folder, said.append) == latest
