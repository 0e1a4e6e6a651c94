"""Which source runs, as far as git knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from xstilts.study import software


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("x = 1\n")
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_the_commit_of_a_checkout_and_whether_it_was_changed(package: Path) -> None:
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "first")
    clean = software.source(package)
    assert clean.commit and len(clean.commit) == 40 and clean.dirty is False and clean.unknown_because is None
    (package.parent / "notes.txt").write_text("not the package's\n")
    assert software.source(package) == clean
    (package / "new.py").write_text("")
    assert software.source(package).dirty is True
    (package / "new.py").unlink()
    (package / "__init__.py").write_text("x = 2\n")
    changed = software.source(package)
    assert changed.dirty is True and changed.commit == clean.commit and changed.digest != clean.digest


def test_without_a_commit_it_says_why(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = software.source(package)
    assert (found.commit, found.dirty, found.unknown_because) == (None, None, "not in a git checkout")
    # As a wheel that is installed in an environment inside somebody's checkout.
    git(package.parent, "init", "-q")
    (package.parent / ".gitignore").write_text("package\n")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "first")
    assert software.source(package).unknown_because == "not in a git checkout"
    monkeypatch.setenv("PATH", "")
    absent = software.source(package)
    assert (absent.commit, absent.unknown_because) == (None, "git: No such file or directory")
    assert absent.digest == found.digest
