"""What is on disk is trusted only when every byte checks out."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from xstilts.core.errors import StorageError, UserError
from xstilts.core.sealed import write_sealed
from xstilts.training.checkpoint import format as checkpoint
from xstilts.training.checkpoint.format import Progress, best_path, find_latest, open_tensors, verify
from xstilts.training.checkpoint.saver import Saver

PROGRESS = Progress(step=6, best_score=41.5, best_step=5, num_stale=1, plan="abc", extra={"health": {"skipped": 0}})


@pytest.fixture
def folder(tmp_path: Path, engine: Any) -> Path:
    """Checkpoints of steps 3 and 6 and the best weights, of step 5."""
    saver = Saver(tmp_path, keep=2)
    engine.train(0, 3)
    saver.save(engine.itself, Progress(step=3, plan="abc"))
    engine.train(3, 5)
    digest = write_sealed(best_path(tmp_path, 5), engine.parameters)
    engine.train(5, 6)
    saver.save(engine.itself, replace(PROGRESS, best_weights=digest))
    return tmp_path


def latest(folder: Path) -> tuple[int | None, list[str]]:
    """The step that would be continued from, and what is said."""
    said: list[str] = []
    found = find_latest(folder, said.append)
    return (found[1].step if found else None), said


def test_what_was_saved_is_read_back(folder: Path, engine: Any) -> None:
    found = find_latest(folder, pytest.fail)
    assert found is not None and found[0] == folder / "step-00000006"
    assert found[1] == replace(PROGRESS, updates=6, best_weights=found[1].best_weights)
    tensors = open_tensors(found[0], engine.shapes)
    assert len(tensors) == 3 * 6
    for name, parameter in engine.parameters.items():
        assert torch.equal(tensors[f"master/{name}"](), parameter)
    moments = engine.optimizer.state[engine.model[0].weight]
    assert torch.equal(tensors["exp_avg/0.weight"](), moments["exp_avg"])
    assert torch.equal(tensors["exp_avg_sq/0.weight"](), moments["exp_avg_sq"])


def test_without_checkpoints_there_is_none(tmp_path: Path) -> None:
    assert latest(tmp_path) == (None, [])
    assert latest(tmp_path / "nowhere") == (None, [])


def files_of(folder: Path) -> list[Path]:
    """All that the checkpoint of step 6 consists of."""
    return [*sorted((folder / "step-00000006").iterdir()), best_path(folder, 5)]


@pytest.mark.parametrize("index", range(3))
def test_no_flipped_byte_goes_unnoticed(folder: Path, index: int) -> None:
    path = files_of(folder)[index]
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        with pytest.raises(UserError):
            verify(folder / "step-00000006")
    path.write_bytes(whole)
    assert verify(folder / "step-00000006").step == 6


def remove(path: Path) -> None:
    path.unlink()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def rename(path: Path) -> None:
    path.rename(path.with_name("other" + path.suffix))


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def exchange(path: Path) -> None:
    """For another file that is whole."""
    root = next(parent for parent in path.parents if (parent / "step-00000003").is_dir())
    path.write_bytes((root / "step-00000003" / "rank-00000.safetensors").read_bytes())


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(
    "damage",
    [remove, cut_short, empty, lengthen, rename, make_a_folder, exchange],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_checkpoint_is_passed_over_and_that_is_said(
    folder: Path, index: int, damage: Callable[[Path], None]
) -> None:
    path = files_of(folder)[index]
    damage(path)
    step, said = latest(folder)
    assert step == 3
    assert len(said) == 1 and path.name in said[0] and "trying the one before" in said[0] and "\n" not in said[0]


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(("num_failures", "step"), [(1, 6), (2, None)])
def test_what_cannot_be_read_now_is_tried_again_and_never_taken_for_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, index: int, num_failures: int, step: int | None
) -> None:
    ill, real, left = files_of(folder)[index], io.open, [None] * num_failures

    def stale(path: Any, *given: Any, **options: Any) -> Any:
        if path == ill and left:
            left.pop()
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path, *given, **options)

    monkeypatch.setattr(io, "open", stale)  # what pathlib calls
    if step is None:
        with pytest.raises(StorageError, match=rf"{ill.name}: cannot be read \(Stale file handle\); launch again"):
            find_latest(folder, pytest.fail)
    else:
        assert latest(folder) == (step, [])


def test_when_all_are_damaged_it_says_that_it_starts_anew(folder: Path) -> None:
    for manifest in folder.glob("*/manifest.json"):
        manifest.unlink()
    step, said = latest(folder)
    assert step is None
    assert len(said) == 2 and said[1].endswith("none is left, starting anew")


def test_a_renamed_folder_is_not_taken_for_another_step(folder: Path) -> None:
    (folder / "step-00000006").rename(folder / "step-00000009")
    step, said = latest(folder)
    assert step == 3 and "holds step 6" in said[0]


def test_a_stray_file_in_the_folder_is_not_read(folder: Path, engine: Any) -> None:
    path = folder / "step-00000006"
    write_sealed(path / "rank-99999.safetensors", {"master/0.weight": torch.zeros(4, 3)})
    assert latest(folder) == (6, [])
    assert not torch.equal(open_tensors(path, engine.shapes)["master/0.weight"](), torch.zeros(4, 3))


def test_other_best_weights_are_not_taken_for_those_of_the_best_step(folder: Path, new_engine: Any) -> None:
    write_sealed(best_path(folder, 5), new_engine(1).parameters)
    step, said = latest(folder)
    assert step == 3 and "another file than the one that was written" in said[0]


def test_a_file_outside_of_the_folder_is_not_read(folder: Path) -> None:
    path = folder / "step-00000006"
    body = json.loads((path / "manifest.json").read_bytes())["body"]
    name = "../step-00000003/rank-00000.safetensors"
    file = checkpoint.File(name, (path / name).stat().st_size, checkpoint.sha256_of(path / name))
    (path / "manifest.json").write_bytes(checkpoint.manifest_bytes(Progress(**body["progress"]), [file]))
    assert latest(folder)[0] == 3


def test_another_version_of_the_format_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_FORMAT", checkpoint._FORMAT + 1)
    with pytest.raises(UserError, match=r"checkpoint format \d, this version reads \d"):
        find_latest(folder, pytest.fail)  # not passed over: what is, goes with the next checkpoint


@pytest.mark.parametrize(
    "change",
    [
        lambda shapes: {**shapes, "0.weight": (3, 4)},
        lambda shapes: {**shapes, "more": (1,)},
        lambda shapes: {name: shape for name, shape in shapes.items() if name != "1.bias"},
    ],
    ids=["other shape", "parameter without tensor", "tensor without parameter"],
)
def test_the_checkpoint_of_another_model_is_refused(folder: Path, engine: Any, change: Any) -> None:
    with pytest.raises(UserError, match="resume with the model that it was saved from"):
        open_tensors(folder / "step-00000006", change(engine.shapes))
