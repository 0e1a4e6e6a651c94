"""Files written tensor by tensor, read with the safetensors library."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xstilts.core.errors import UserError
from xstilts.core.sealed import read_sealed, write_sealed
from xstilts.core.tensor_file import TensorFile

TENSORS = {
    "a.weight": torch.arange(6.0).reshape(2, 3).t(),
    "b": torch.tensor(1.5),
    "c": torch.empty(0, 4),
    "d.bias": torch.randn(5, generator=torch.Generator().manual_seed(1)),
}
SHAPES = {name: tensor.shape for name, tensor in TENSORS.items()}


def test_the_library_reads_what_was_written_and_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with TensorFile(path, SHAPES) as file:
        for name, tensor in TENSORS.items():
            file.write(name, tensor)
        found = file.sha256
    read = load_file(path)
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())
    assert found == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("sealed", [False, True])
def test_a_tensor_in_parts_is_the_same(tmp_path: Path, sealed: bool) -> None:
    parts = {**{name: [tensor] for name, tensor in TENSORS.items()}, "d.bias": list(TENSORS["d.bias"].split(2))}
    contents = []
    for given in (parts, {name: [tensor] for name, tensor in TENSORS.items()}):
        path = tmp_path / "w.safetensors"
        with TensorFile(path, SHAPES, sealed=sealed) as file:
            for name, some in given.items():
                for part in some:
                    file.write(name, part)
            _ = file.seal() if sealed else file.sha256
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_a_sealed_file_has_the_digest_of_the_same_tensors_written_at_once(tmp_path: Path) -> None:
    with TensorFile(tmp_path / "ours.safetensors", SHAPES, sealed=True) as file:
        for name, tensor in TENSORS.items():
            file.write(name, tensor)
        digest = file.seal()
    contiguous = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    assert digest == write_sealed(tmp_path / "at_once.safetensors", contiguous)
    read = read_sealed(tmp_path / "ours.safetensors", "", digest)
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())


def test_a_sealed_file_that_was_not_sealed_is_refused(tmp_path: Path) -> None:
    with TensorFile(tmp_path / "w.safetensors", SHAPES, sealed=True) as file:
        for name, tensor in TENSORS.items():
            file.write(name, tensor)
    with pytest.raises(UserError, match="damaged"):
        read_sealed(tmp_path / "w.safetensors", "")
