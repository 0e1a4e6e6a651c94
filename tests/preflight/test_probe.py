"""What a host says about itself changes with what a run depends on, and with nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xstilts.preflight import probe


def _report(project: Path, cache: Path | None = None) -> dict[str, object]:
    sources = ("train.py", "src", "ds_configs")
    return probe.host_report(project=str(project), sources=sources, run_dir="", cache_dir=str(cache or ""), nonce="")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in ("train.py", "src/xstilts/cli.py", "src/xstilts/recipes/demo.yaml", "ds_configs/zero1.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1")
    return root


@pytest.mark.parametrize(
    "name",
    ["train.py", "src/xstilts/cli.py", "src/xstilts/recipes/demo.yaml", "ds_configs/zero1.json", "ds_configs/new.json"],
)
def test_every_file_that_a_run_reads_is_source_code(project: Path, name: str) -> None:
    before = _report(project)["sources"]
    (project / name).write_text("2")
    assert _report(project)["sources"] != before


@pytest.mark.parametrize("name", ["README.md", "src/xstilts/__pycache__/cli.py", "tests/test_cli.py"])
def test_other_files_are_not(project: Path, name: str) -> None:
    before = _report(project)["sources"]
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("2")
    assert _report(project)["sources"] == before


def test_cache_that_is_not_there_is_no_cache(project: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert _report(project, cache)["cache"] == "absent"
    cache.mkdir()
    assert _report(project, cache)["cache"] == "empty"
    (cache / "a.arrow").write_bytes(b"12")
    first = _report(project, cache)["cache"]
    (cache / "a.arrow").write_bytes(b"123")
    assert first not in ("absent", "empty", _report(project, cache)["cache"])


def test_machine_is_the_same_in_every_process_and_another_in_another_network() -> None:
    told = [sys.executable, "-c", "from xstilts.preflight import probe; print(probe._machine())"]
    here = _report(Path("/"))["machine"]
    assert here
    assert subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip() == here
    there = subprocess.run(["unshare", "--net", *told], capture_output=True, text=True, check=False)
    if there.returncode:
        pytest.skip(f"needs network namespaces: {there.stderr.strip()}")
    assert there.stdout.strip() not in ("", here)
