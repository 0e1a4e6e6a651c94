"""A damaged file is never taken for weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from xstilts.core.errors import UserError
from xstilts.core.sealed import read_sealed, write_sealed

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.tensor([1.5, -0.0, float("nan")], dtype=torch.bfloat16),
    "scalar": torch.tensor(3),
    "empty": torch.zeros(0, 4),
}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_sealed(tmp_path / "t", TENSORS)
    read = read_sealed(tmp_path / "t", "")
    assert read.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name].nan_to_num(), tensor.nan_to_num())


def test_no_flipped_bit_is_read_as_other_content(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_sealed(path, TENSORS)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"remedy$"):
            read_sealed(path, "remedy")


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1])
def test_a_file_cut_short_is_an_error(tmp_path: Path, length: int) -> None:
    path = tmp_path / "t"
    write_sealed(path, TENSORS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match=f"^{path}: cannot be read .*; do this$"):
        read_sealed(path, "do this")


def test_a_whole_file_in_the_place_of_another_is_an_error(tmp_path: Path) -> None:
    digest = write_sealed(tmp_path / "t", TENSORS)
    assert read_sealed(tmp_path / "t", "", digest).keys() == TENSORS.keys()
    assert write_sealed(tmp_path / "t", {**TENSORS, "scalar": torch.tensor(4)}) != digest
    with pytest.raises(UserError, match="is whole, but another file"):
        read_sealed(tmp_path / "t", "", digest)


def test_a_missing_file_and_a_foreign_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path}/none: cannot be read"):
        read_sealed(tmp_path / "none", "do this")
    save_file({"a": TENSORS["a"]}, tmp_path / "foreign")
    with pytest.raises(UserError, match="carries no digest"):
        read_sealed(tmp_path / "foreign", "do this")
