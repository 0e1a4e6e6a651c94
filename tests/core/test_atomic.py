"""Files that are whole whenever they exist, and on disk when writing them returns."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from xstilts.core import atomic
from xstilts.core.atomic import cannot_write, make_folder, sync_all, whole_file, write_whole
from xstilts.core.errors import DiskFullError, StorageError
from xstilts.core.exit_codes import EXIT_DISK_FULL, EXIT_FAILED, exit_code_of


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced and renamed, in order."""
    names: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        names.append("sync " + Path(os.readlink(f"/proc/self/fd/{handle}")).name.split(".")[0])
        real_sync(handle)

    def replace(source: Any, target: Any) -> None:
        names.append(f"rename to {Path(target).name}")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return names


def test_content_is_on_disk_before_its_name_and_the_name_before_writing_returns(
    tmp_path: Path, calls: list[str]
) -> None:
    folder = tmp_path / "outer" / "inner"
    write_whole(folder / "record.json", b"{}")
    assert (folder / "record.json").read_bytes() == b"{}"
    assert calls == [f"sync {tmp_path.name}", "sync outer", "sync record", "rename to record.json", "sync inner"]


def test_a_folder_that_is_there_costs_nothing(tmp_path: Path, calls: list[str]) -> None:
    make_folder(tmp_path)
    assert calls == []


def test_everything_below_a_folder_is_synced(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "test-de.tsv").write_text("")
    sync_all(tmp_path)
    assert calls == [f"sync {tmp_path.name}", "sync task", "sync test-de"]


def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_whole(path, b"before")

    def be_interrupted() -> None:
        with whole_file(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]
    assert path.read_bytes() == b"before"


def test_a_sync_that_fails_is_told_and_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    write_whole(path, b"before")

    def fail(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(atomic, "sync", fail)
    with pytest.raises(StorageError, match=r"cannot write .*record\.json \(Input/output error\); "):
        write_whole(path, b"after")
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize(
    ("error", "kind", "code", "reason"),
    [
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DiskFullError, EXIT_DISK_FULL, "Disk quota exceeded"),
        (OSError(errno.ESTALE, "Stale file handle"), StorageError, EXIT_FAILED, "Stale file handle"),
        (OSError(errno.EIO, "Input/output error"), StorageError, EXIT_FAILED, "Input/output error"),
        (
            SafetensorError("I/O error: No space left (os error 28)"),
            DiskFullError,
            EXIT_DISK_FULL,
            "No space left on device",
        ),
        (SafetensorError("something else"), StorageError, EXIT_FAILED, "something else"),
    ],
    ids=str,
)
def test_only_want_of_space_is_past_curing_by_a_relaunch(
    error: Any, kind: type[Exception], code: int, reason: str
) -> None:
    told = cannot_write(Path("there"), error)
    assert type(told) is kind
    assert exit_code_of(told) == code
    assert str(told).startswith(f"cannot write there ({reason}); ") and "\n" not in str(told)
