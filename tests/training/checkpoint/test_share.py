"""A rank's file of a checkpoint, and how much of it is in memory."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from xstilts.core.tensor_file import TensorFile
from xstilts.training.checkpoint import share
from xstilts.training.checkpoint.share import write_share

SHAPES = {f"{i}": (100,) for i in range(20)}


def given(asked: list[str]) -> Iterator[tuple[str, torch.Tensor]]:
    """One buffer for all, as a gather may have it."""
    buffer = torch.empty(100)
    for name in SHAPES:
        asked.append(name)
        yield name, buffer.fill_(float(name))


@pytest.mark.parametrize("most_bytes", [1, 1000, 10**6])
def test_tensors_are_those_of_their_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int) -> None:
    monkeypatch.setattr(share, "_MOST_BYTES", most_bytes)
    file = write_share(tmp_path / "rank-00000.safetensors", SHAPES, given([]))
    read = load_file(tmp_path / file.name)
    assert {name: set(tensor.tolist()) for name, tensor in read.items()} == {name: {float(name)} for name in SHAPES}


def test_no_more_is_held_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors of 400 bytes and room for 1,000: beside the one that is written, one more may wait."""
    monkeypatch.setattr(share, "_MOST_BYTES", 1000)
    asked: list[str] = []
    ahead: list[int] = []
    write = TensorFile.write

    def watched(file: TensorFile, name: str, tensor: torch.Tensor) -> None:
        write(file, name, tensor)
        ahead.append(len(asked) - len(ahead))

    monkeypatch.setattr(TensorFile, "write", watched)
    write_share(tmp_path / "rank-00000.safetensors", SHAPES, given(asked))
    assert max(ahead) <= 3 and len(ahead) == len(SHAPES)


def test_all_tensors_are_asked_for_even_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TensorFile, "write", fail)
    asked: list[str] = []
    with pytest.raises(OSError, match="No space left"):
        write_share(tmp_path / "rank-00000.safetensors", SHAPES, given(asked))
    assert asked == list(SHAPES)
    asked.clear()
    with pytest.raises(FileNotFoundError):
        write_share(tmp_path / "lacking" / "rank-00000.safetensors", SHAPES, given(asked))
    assert asked == list(SHAPES)
