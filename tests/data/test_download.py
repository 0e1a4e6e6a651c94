from __future__ import annotations

import time
from pathlib import Path

import pytest

from xstilts.data.download import watched


def wait_for(calls: list[float], number: int) -> None:
    deadline = time.monotonic() + 20
    while len(calls) < number and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_download_that_grows_is_progress(tmp_path: Path) -> None:
    calls: list[float] = []
    blob = tmp_path / "datasets--x" / "blobs" / "0f.incomplete"
    blob.parent.mkdir(parents=True)
    with watched((tmp_path,), lambda: calls.append(time.monotonic()), interval=0.02):
        for number in (1, 2, 3):
            with blob.open("ab") as stream:
                stream.write(b"x" * 1000)
            wait_for(calls, number)
        blob.rename(blob.with_suffix(""))
        wait_for(calls, 4)
    assert len(calls) == 4


def test_one_that_is_built_in_an_unfinished_folder_too(tmp_path: Path) -> None:
    calls: list[float] = []
    (tmp_path / "qqp.incomplete").mkdir()
    with watched((tmp_path,), lambda: calls.append(0.0), interval=0.02):
        (tmp_path / "qqp.incomplete" / "train.arrow").write_bytes(b"x")
        wait_for(calls, 1)
    assert calls


def test_one_that_stands_still_is_not(tmp_path: Path) -> None:
    (tmp_path / "0f.incomplete").write_bytes(b"x")
    (tmp_path / "other").mkdir()
    calls: list[float] = []
    with watched((tmp_path, tmp_path / "absent"), lambda: calls.append(0.0), interval=0.02):
        (tmp_path / "other" / "finished").write_bytes(b"x")
        time.sleep(0.3)
    assert calls == []


def test_the_watch_ends_with_the_download(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), watched((tmp_path,), lambda: None, interval=0.02):
        raise ValueError("broken")
