from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path

import pytest

from xstilts.core.checksum import Checksums
from xstilts.core.errors import UserError

# FIPS 180-2, appendix B.1
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    return path


def test_sha256(file: Path) -> None:
    assert Checksums().of(file) == SHA256_OF_ABC


def test_is_remembered_by_another_process(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Checksums(tmp_path / "notes").of(file)
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert Checksums(tmp_path / "notes").of(file) == SHA256_OF_ABC
    assert pickle.loads(pickle.dumps(Checksums(tmp_path / "notes"))).of(file) == SHA256_OF_ABC


def test_is_forgotten_with_a_new_size_or_time(file: Path, tmp_path: Path) -> None:
    checksums = Checksums(tmp_path / "notes")
    checksums.of(file)
    file.write_bytes(b"abd")
    os.utime(file, ns=(1, 1))
    assert checksums.of(file) == hashlib.sha256(b"abd").hexdigest()
    file.write_bytes(b"abcd")
    os.utime(file, ns=(1, 1))
    assert Checksums(tmp_path / "notes").of(file) == hashlib.sha256(b"abcd").hexdigest()


def test_is_forgotten_with_another_file_of_the_same_size_and_time(file: Path, tmp_path: Path) -> None:
    Checksums(tmp_path / "notes").of(file)
    stat = file.stat()
    (tmp_path / "other").write_bytes(b"abd")
    os.utime(tmp_path / "other", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "other").rename(file)
    assert Checksums(tmp_path / "notes").of(file) == hashlib.sha256(b"abd").hexdigest()


def test_broken_note_is_replaced(file: Path, tmp_path: Path) -> None:
    Checksums(tmp_path / "notes").of(file)
    (note,) = (tmp_path / "notes").iterdir()
    note.write_text("{")
    assert Checksums(tmp_path / "notes").of(file) == SHA256_OF_ABC
    assert SHA256_OF_ABC in note.read_text()


def test_nowhere_to_remember(file: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("a file where the folder should be")
    assert Checksums(tmp_path / "notes").of(file) == SHA256_OF_ABC


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file or directory; check the path and its permissions"):
        Checksums().of(tmp_path / "absent")
