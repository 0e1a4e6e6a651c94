"""A study killed at any moment and launched again ends exactly as one that ran through: 2 ranks, dropout on."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import tiny
from launch import run_study, start_study

from xstilts.measures.visits import read_visits
from xstilts.study.provenance import read_run
from xstilts.study.record import read_record

pytestmark = pytest.mark.timeout(900)  # a launch serves many tests, and the cores may be shared

NUM_STEPS = 10
TRAINING: dict[str, Any] = {"steps": NUM_STEPS, "batch_size": 9, "lr": 1e-3, "dev": {"every": 4, "num_examples": 6}}


@pytest.fixture(scope="module")
def recipe(tiny_world: Path) -> Path:
    # An MLM stage has no dev data of its own; here it is one task of the mixture.
    path = tiny_world.parent / "resume.yaml"
    targets = {"udpos": {"languages": ["eng_Latn", "qaa_Latn"], "training": {"steps": 2, "dev": None}}}
    return tiny.write_recipe(
        path, tiny_world, deepspeed="zero2_fp32_cpu", training=TRAINING, tasks=tiny.ALL_HEADS, targets=targets
    )


@pytest.fixture(scope="module")
def unbroken(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("unbroken")
    run_study(recipe, run_dir, 2)
    return run_dir


@pytest.mark.parametrize("asynchronous", [False, True], ids=["saved in line", "saved aside"])
def test_a_killed_study_ends_as_if_it_had_never_stopped(
    recipe: Path, unbroken: Path, tmp_path: Path, asynchronous: bool
) -> None:
    dice = random.Random(f"kill {asynchronous}")
    run_dir = tmp_path / "run"
    override = f"runtime.async_checkpoint={str(asynchronous).lower()}"
    study = start_study(recipe, run_dir, 2, override, log=tmp_path / "log")
    wait_for_step(run_dir, dice.randint(1, NUM_STEPS - 1))
    time.sleep(dice.random() / 10)
    assert study.running, study.log.read_text()
    study.kill()
    said = run_study(recipe, run_dir, 2, override)
    launches = read_run(run_dir).launches
    assert [(launch.exit, launch.end is None, launch.world_size) for launch in launches] == [
        (None, True, 2),
        (0, False, 2),
    ]
    assert launches[1].hosts[0].ranks == [0, 1]
    assert "did not say how it ended: it was killed, or its host went down" in said
    assert tiny.all_losses(run_dir) == tiny.all_losses(unbroken)
    assert results(run_dir) == results(unbroken)
    assert visits(run_dir) == visits(unbroken)
    assert "continuing after step" in said or not list(run_dir.glob("stages/*/checkpoints/step-*"))


def test_a_finished_study_trains_nothing_when_launched_again(recipe: Path, unbroken: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in unbroken.glob("stages/*/*")}
    said = run_study(recipe, unbroken, 2)
    assert "nothing is left to do" in said
    assert {path: path.stat().st_mtime_ns for path in unbroken.glob("stages/*/*")} == before


def visits(run_dir: Path) -> dict[str, list[dict[str, object]]]:
    """Stage id -> the rows of its one file."""
    found = {}
    for path in run_dir.glob("stages/*/visits/*"):
        stage = read_record(path.parents[1])
        found[stage.origin.id] = read_visits(path.parent, stage.num_steps).to_pylist()
        assert len(found[stage.origin.id]) == stage.num_visits == stage.num_steps * TRAINING["batch_size"]
    assert found.keys() == tiny.all_losses(run_dir).keys()
    return found


def wait_for_step(run_dir: Path, step: int) -> None:
    """Returns when the mixture has taken so many steps."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(len(taken) >= step for taken in tiny.all_losses(run_dir).values()):
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} never came")


def results(run_dir: Path) -> list[object]:
    return [json.loads(line) for line in (run_dir / "results.jsonl").read_text(encoding="utf-8").splitlines()]
