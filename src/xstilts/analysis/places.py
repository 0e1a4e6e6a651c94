"""Where what is said of a run lies, and whether it is said of the run as it is."""

from __future__ import annotations

from pathlib import Path

from xstilts.evaluation.rows import OTHER_RESULTS

_READ = ("results.jsonl", OTHER_RESULTS, "run.json", "launches/*.json")


def overview(run_dir: Path) -> Path:
    """The folder to be given to TensorBoard."""
    return run_dir / "tensorboard" / "overview"


def pages(run_dir: Path) -> tuple[Path, Path]:
    """The report in HTML and in Markdown."""
    return run_dir / "report.html", run_dir / "report.md"


def is_current(run_dir: Path) -> bool:
    """Whether there is a report that was made after the last change of what it reads."""
    read = [path for pattern in _READ for path in run_dir.glob(pattern)]
    try:
        return min(map(_time, pages(run_dir))) > max(map(_time, read))
    except (OSError, ValueError):
        return False


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns
