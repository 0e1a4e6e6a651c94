"""The weights that a stage hands on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from xstilts.core.errors import UserError
from xstilts.core.sealed import read_sealed
from xstilts.training.checkpoint.weights import save_weights


def test_every_parameter_is_kept_by_its_name(tmp_path: Path, engine: Any) -> None:
    digest = save_weights(tmp_path / "new" / "weights.safetensors", engine.itself)
    read = read_sealed(tmp_path / "new" / "weights.safetensors", "", digest)
    assert read.keys() == engine.parameters.keys()
    assert all(torch.equal(read[name], value) for name, value in engine.parameters.items())


def test_tied_weights_are_kept_once(tmp_path: Path, engine: Any) -> None:
    engine.model.append(torch.nn.Linear(4, 2))
    engine.model[3].weight = engine.model[2].weight
    save_weights(tmp_path / "w.safetensors", engine.itself)
    assert "2.weight" in (read := read_sealed(tmp_path / "w.safetensors", "")) and "3.weight" not in read


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, engine.itself)
    before = path.read_bytes()
    engine.train(0, 1)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xstilts.training.checkpoint.weights.TensorFile.write", fail)
    with pytest.raises(UserError, match=r"cannot write .*w\.safetensors \(No space left on device\); free space"):
        save_weights(path, engine.itself)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
