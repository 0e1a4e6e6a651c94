"""Evaluations on dev data and checkpoints: a run that is asked to stop saves first, and the next one evaluates.

Asked to stop after every step, it evaluates, selects and runs out of patience as one that is never asked. A checkpoint
that fails aside ends all ranks at the next step, not at the next checkpoint.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tiny
from launch import run_ranks

from xstilts.config.runtime import Runtime
from xstilts.config.selection import Snapshots
from xstilts.config.training import Dev, Mixing, Training
from xstilts.core.errors import UserError
from xstilts.core.sealed import read_sealed
from xstilts.data.catalogue import Part
from xstilts.data.loader import StepLoader
from xstilts.distributed import dist
from xstilts.evaluation.predictor import Predictor
from xstilts.evaluation.results import dev_score
from xstilts.evaluation.work import Work
from xstilts.tasks import find_task
from xstilts.training.checkpoint import saver
from xstilts.training.engine import Engine
from xstilts.training.job import Folders, Job
from xstilts.training.loop import train
from xstilts.training.monitors import preemption

TASKS = ("mnli", "squad_v2")
NUM_STEPS = 9
TRAINING = Training(steps=NUM_STEPS, batch_size=9, lr=3e-3, dev=Dev(every=2, num_examples=8, patience=2))
STAGES = (2, 3)


def make_loader(world: Path) -> StepLoader:
    return tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=320)


def launch(world: Path, folder: Path, stage: int, *, asked: bool = False, **runtime: Any) -> Any:
    """One launch of a stage: its outcome, None if it was asked to stop after its first step, or the error."""
    loader, opened = make_loader(world), tiny.catalogue(world)
    features = {name: opened.open(Part(name, "dev", "eng_Latn", scored=True)) for name in TASKS}
    works = [Work(find_task(n), "eng_Latn", "dev", f, opened.labels(find_task(n)), 8) for n, f in features.items()]

    def dev_scores(engine: Engine) -> Mapping[str, float]:
        outputs = Predictor(engine.evaluate, loader.kinds, loader.tokenizer, loader.token_budget).predict(works)
        return {work.task.name: dev_score(work, output) for work, output in zip(works, outputs, strict=True)}

    # One rank alone hears of it.
    preemption.heartbeat.preemption_requested = lambda: asked and dist.rank() == dist.world_size() - 1
    options = {"checkpoint_every": 4, "log_every": 1000, "straggler_every": 1000, **runtime}
    read = [(work.features, work.num_examples) for work in works]
    job = Job("dev", tiny.SEED, tiny.model(world, TASKS), loader, dev_scores, read, snapshots=Snapshots(3, 2))
    folders = Folders(folder, folder / "tensorboard")
    try:
        return asdict(train(job, Runtime(**options), tiny.deepspeed_json(stage), folders))
    except preemption.Preempted:
        return None
    except UserError as error:
        return type(error).__name__


def run_all(world: Path, folder: Path) -> dict[str, list[Any]]:
    """Runs in both ranks: outcome of every launch of every run."""
    found: dict[str, list[Any]] = {}
    for stage in STAGES:
        found[f"whole {stage}"] = [launch(world, folder / f"whole {stage}", stage)]
        stops = found[f"stopped {stage}"] = []
        while not stops or stops[-1] is None:
            stops.append(launch(world, folder / f"stopped {stage}", stage, asked=True))
            assert len(stops) < 20
    real = saver._write_file

    def fail(*given: Any) -> Any:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if dist.rank() == 1 else real(*given)

    saver._write_file = fail
    found["failed"] = [launch(world, folder / "failed", 2, async_checkpoint=True, checkpoint_every=3)]
    return found


@pytest.fixture(scope="module")
def launched(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, list[Any]]], Path]:
    make_loader(tiny_world)
    for name in TASKS:
        tiny.catalogue(tiny_world).open(Part(name, "dev", "eng_Latn", scored=True))
    folder = tmp_path_factory.mktemp("dev")
    return run_ranks(run_all, 2, tiny_world, folder), folder


def records(folder: Path, key: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in record.items() if name != "time"} for record in found if key in record]


@pytest.mark.parametrize("stage", STAGES)
def test_stopped_after_every_step_it_selects_as_if_it_had_never_stopped(launched: Any, stage: int) -> None:
    (found, other), folder = launched
    assert found == other
    (whole,) = found[f"whole {stage}"]
    stops = found[f"stopped {stage}"]
    assert stops[-1] == whole
    assert len(stops) == 1 + whole["num_steps"], "a step each, then nothing but the end"
    assert tiny.losses(folder / f"stopped {stage}") == tiny.losses(folder / f"whole {stage}")
    evaluated = records(folder / f"whole {stage}", "dev")
    assert records(folder / f"stopped {stage}", "dev") == evaluated
    assert len(evaluated) >= 3 and whole["selection"] == "best_dev"


@pytest.mark.parametrize("stage", STAGES)
def test_stopped_after_every_step_it_keeps_the_same_weights(launched: Any, stage: int) -> None:
    found, folder = launched[0][0], launched[1]
    (whole,) = found[f"whole {stage}"]
    end = whole["num_steps"]
    assert list(whole["snapshots"]) == sorted({*range(3, end + 1, 3), end})[-2:]
    for name in ("whole", "stopped"):
        kept = sorted((folder / f"{name} {stage}" / "snapshots").iterdir())
        assert [int(path.stem) for path in kept] == list(whole["snapshots"])
        assert [len(read_sealed(p, "", d)) > 0 for p, d in zip(kept, whole["snapshots"].values(), strict=True)]


def test_what_is_asked_to_stop_saves_before_it_evaluates(launched: Any) -> None:
    order = []
    for line in (launched[1] / "stopped 2" / "steps.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if "dev" in record or "saved at step" in record.get("event", ""):
            order.append("dev" if "dev" in record else "saved")
    assert order[:5] == ["saved", "saved", "dev", "saved", "saved"]


def test_a_checkpoint_that_fails_aside_ends_all_ranks_before_the_next_one(launched: Any) -> None:
    found, folder = launched
    assert [rank["failed"] for rank in found] == [["DiskFullError"]] * 2
    assert 3 <= max(tiny.losses(folder / "failed")) < 6
