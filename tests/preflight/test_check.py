"""What was not looked at is said, and is no reason to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.core.exit_codes import EXIT_CHECK_FAILED, EXIT_OK
from xstilts.preflight.check import run_check


def test_unchecked_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    hostfile = tmp_path / "hosts"
    hostfile.write_text("localhost slots=2\n")
    assert run_check(hostfile) == EXIT_OK
    said = capsys.readouterr().out
    assert "within localhost" in said
    assert "\nnot checked that all hosts share the folder of runs, and have room there; add --run-dir FOLDER\n" in said
    assert "\nnot checked that all hosts have the same dataset cache; add --cache-dir FOLDER\n" in said
    assert said.rstrip().endswith("as far as checked")
    (tmp_path / "cache").mkdir()
    assert run_check(hostfile, tmp_path / "runs", tmp_path / "cache") == EXIT_CHECK_FAILED
    said = capsys.readouterr().out
    assert "not checked" not in said
    assert "error localhost: dataset cache is empty; correct --cache-dir" in said
