"""The files of a pretrained model, from a folder and from the hub's cache; the hub itself is played by a function."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from xstilts.core import hub
from xstilts.core.checksum import Checksums
from xstilts.core.errors import UserError
from xstilts.model import fetch as fetch_module
from xstilts.model import pretrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


@pytest.fixture(autouse=True)
def hub_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "connect", lambda: None)


def test_folder_is_itself(folder: Path) -> None:
    assert pretrained.local_folder(str(folder)) == folder


def test_name_is_fetched_into_the_hubs_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(name: str, *, allow_patterns: list[str], tqdm_class: type) -> str:
        asked.append(name)
        assert "*.safetensors" in allow_patterns and not any("bin" in pattern for pattern in allow_patterns)
        return str(folder)

    monkeypatch.setattr(fetch_module, "snapshot_download", fetch)
    assert pretrained.local_folder("some/model") == folder
    assert asked == ["some/model"]


def test_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, *, allow_patterns: list[str], tqdm_class: type) -> str:
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(fetch_module, "snapshot_download", fetch)
    with pytest.raises(UserError, match=r"^model.pretrained: cannot fetch 'some/model' [(]no route[)]; prepare where"):
        pretrained.local_folder("some/model")


def test_fingerprint_is_that_of_the_content(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy")
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    moves: list[None] = []
    first = pretrained.fingerprint(folder, Checksums(), lambda: moves.append(None))
    assert len(moves) == 2
    assert pretrained.fingerprint(copy, Checksums(), lambda: None) == first
    (copy / "config.json").write_text('{"hidden_size": 8}')
    assert pretrained.fingerprint(copy, Checksums(), lambda: None) != first


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(UserError, match=r"no [*].safetensors in .*; convert the checkpoint"):
        pretrained.fingerprint(tmp_path, Checksums(), lambda: None)


def test_folder_without_configuration_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"config.json: no such file; model.pretrained needs it; restore"):
        pretrained.fingerprint(folder, Checksums(), lambda: None)


def test_weights_are_read_once_for_many_launches(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path_factory.mktemp("notes")
    first = pretrained.fingerprint(folder, Checksums(notes), lambda: None)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert pretrained.fingerprint(folder, Checksums(notes), lambda: None) == first


def test_every_part_of_a_download_is_progress(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, *, allow_patterns: list[str], tqdm_class: Any) -> str:
        with tqdm_class(total=30, disable=True, name="huggingface_hub.snapshot_download") as bar:
            for size in (10, 0, 20):
                bar.update(size)
        return str(folder)

    monkeypatch.setattr(fetch_module, "snapshot_download", fetch)
    parts: list[None] = []
    pretrained.local_folder("some/model", lambda: parts.append(None))
    assert len(parts) == 2, "one that brings nothing is none"


@pytest.mark.parametrize("message", ["", "\n"])
def test_hub_that_fails_without_a_message_is_one_line(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    def fetch(name: str, *, allow_patterns: list[str], tqdm_class: type) -> str:
        raise TimeoutError(message)

    monkeypatch.setattr(fetch_module, "snapshot_download", fetch)
    with pytest.raises(UserError, match=r"cannot fetch 'some/model' [(]TimeoutError[)]"):
        pretrained.local_folder("some/model")
