"""Curves for other trackers than TensorBoard: by DeepSpeed's monitor, which knows them."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from xstilts.core.errors import UserError

_PACKAGES = {"wandb": "wandb", "comet": "comet_ml"}
"""Tracker -> what it needs, and this program does not."""


def check_trackers(names: Sequence[str]) -> None:
    """Raises `UserError` for a tracker whose package is not installed."""
    for name in names:
        package = _PACKAGES.get(name)
        if package is not None and find_spec(package) is None:
            remedy = f"pip install {package}, or drop it"
            raise UserError(f"runtime.trackers: '{name}' needs the package {package}, which is not installed; {remedy}")


class Trackers:
    """A stage in each of them; on rank 0."""

    def __init__(self, names: Sequence[str], stage: Path, name: str, first_step: int) -> None:
        """`stage` is the stage's folder, `name` what messages call it; steps after `first_step` are recorded anew."""
        from deepspeed.monitor.config import DeepSpeedMonitorConfig
        from deepspeed.monitor.monitor import MonitorMaster

        run = stage.absolute().parents[1].name
        # DeepSpeed hands on no name of a run.
        os.environ["WANDB_NAME"] = name
        project = os.environ.get("WANDB_PROJECT", "xstilts")
        team = os.environ.get("WANDB_ENTITY")
        config = {
            "csv_monitor": {"enabled": "csv" in names, "output_path": str(stage), "job_name": "csv"},
            "wandb": {"enabled": "wandb" in names, "project": project, "group": run, "team": team},
            "comet": {"enabled": "comet" in names, "project": "xstilts", "experiment_name": f"{run}: {name}"},
        }
        written = _cut_back(stage / "csv", first_step)
        self._monitor = MonitorMaster(DeepSpeedMonitorConfig(**config))
        if self._monitor.csv_monitor is not None:
            self._monitor.csv_monitor.filenames = written

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._monitor.write_events([(tag, value, step) for tag, value in values.items()])

    def close(self) -> None:
        """Ends the run of W&B, so that the next stage begins its own."""
        if self._monitor.wandb_monitor is not None:
            sys.modules["wandb"].finish()


def _cut_back(folder: Path, first_step: int) -> list[str]:
    """Drops what an earlier launch wrote of the steps after `first_step`; the names of the files that have a header."""
    for path in folder.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
        with path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([header, *(row for row in rows if int(row[0]) <= first_step)])
    return [path.stem for path in folder.glob("*.csv")]
