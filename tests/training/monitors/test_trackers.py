"""Other trackers, through DeepSpeed's monitor: CSV files on disk, and W&B by the calls that its package gets."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from deepspeed.monitor import csv_monitor, monitor, wandb

from xstilts.core.errors import UserError
from xstilts.training.monitors.trackers import Trackers, check_trackers


@pytest.fixture(autouse=True)
def first_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (monitor, csv_monitor, wandb):
        monkeypatch.setattr(module.dist, "get_rank", lambda: 0)
    monkeypatch.setenv("WANDB_NAME", "")


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_a_resumed_stage_goes_on_in_its_files(tmp_path: Path) -> None:
    stage = tmp_path / "run" / "stages" / "id"
    first = Trackers(["csv"], stage, "nine seed 0", 0)
    for step in (1, 2, 3):
        first.scalars(step, {"train/loss": step / 2})
    first.close()
    resumed = Trackers(["csv"], stage, "nine seed 0", 2)
    resumed.scalars(3, {"train/loss": 9.0, "dev/mean": 50.0})
    resumed.close()
    assert rows(stage / "csv" / "train_loss.csv") == [["step", "loss"], ["1", "0.5"], ["2", "1.0"], ["3", "9.0"]]
    assert rows(stage / "csv" / "dev_mean.csv") == [["step", "mean"], ["3", "50.0"]]


def test_each_stage_is_a_run_of_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    package = ModuleType("wandb")
    package.init = lambda **options: calls.append(options)  # type: ignore[attr-defined]
    package.log = lambda data, step, commit: calls.append((step, data))  # type: ignore[attr-defined]
    package.finish = lambda: calls.append("finish")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.setenv("WANDB_PROJECT", "transfer")
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    tracker = Trackers(["wandb"], tmp_path / "run" / "stages" / "id", "nine seed 0", 0)
    tracker.scalars(1, {"train/loss": 0.5})
    tracker.close()
    assert calls == [{"project": "transfer", "group": "run", "entity": None}, (1, {"train/loss": 0.5}), "finish"]
    assert not (tmp_path / "run").exists()


def test_a_tracker_without_its_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xstilts.training.monitors.trackers.find_spec", lambda name: None)
    check_trackers(["csv"])
    with pytest.raises(
        UserError, match=r"^runtime.trackers: 'wandb' needs the package wandb, which is not installed; "
    ):
        check_trackers(["csv", "wandb"])
