"""Two launches in one run directory: one is frozen in the middle of a stage, the other takes over and ends the study;
the one that wakes publishes nothing and ends well too. Rows and losses are those of a launch alone, bit for bit."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiny
from launch import run_ranks

from xstilts.config.load import load_recipe
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row, read_rows
from xstilts.study.lane import joined
from xstilts.study.lease import read_leases
from xstilts.study.open import open_with_others
from xstilts.study.provenance import read_run
from xstilts.study.run import run_study

NUM_STEPS = 60


def launch(recipe: Path, run_dir: Path, told: Path) -> list[Row]:
    told.write_text(str(os.getpid()))
    study = open_with_others(load_recipe(str(recipe), []), run_dir, device="cpu")
    return run_study(study)


@pytest.fixture(scope="module")
def recipe(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    training = {"steps": NUM_STEPS, "batch_size": 8, "lr": 1e-3}
    runtime = {
        "deepspeed": "zero1_fp32_cpu",
        "tokens_per_micro_batch": 320,
        "checkpoint_every": 4,
        "lease_seconds": 2,
    }
    target = {"udpos": {"languages": ["eng_Latn"], "training": {"steps": 4}}}
    path = tmp_path_factory.mktemp("lanes") / "recipe.yaml"
    sections = {"runtime": runtime, "targets": target}
    return tiny.write_recipe(path, tiny_world, deepspeed="", training=training, tasks=["mnli"], **sections)


@pytest.mark.timeout(900)
def test_a_frozen_launch_is_taken_over_and_publishes_nothing_when_it_wakes(recipe: Path, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run_ranks, launch, 1, recipe, shared, tmp_path / "first")
        wait_for(lambda: any(num_losses(path) > 5 for path in shared.glob("stages/*.1/steps.jsonl")))
        frozen = int((tmp_path / "first").read_text())
        os.kill(frozen, signal.SIGSTOP)
        (held,) = [state for state in read_leases(shared) if state.claim.kind == "stage" and state.released is None]
        try:
            second = pool.submit(run_ranks, launch, 1, recipe, shared, tmp_path / "second")
            wait_for(lambda: (shared / "stages" / held.claim.key).exists() or second.done())
        finally:
            os.kill(frozen, signal.SIGCONT)
        rows = [first.result(), second.result()]
    expected = run_ranks(launch, 1, recipe, alone, tmp_path / "third")[0]
    assert [found[0] for found in rows] == [expected] * 2
    assert list(read_rows(shared / "results.jsonl")) == expected
    assert tiny.all_losses(shared) == tiny.all_losses(alone), "also of the stage that was taken over"
    files = [{path.relative_to(run) for path in run.glob("predictions/**/*")} for run in (alone, shared)]
    assert files[0] == files[1] and files[0]
    # Everything was published once, and the stage by the launch that took it over.
    published = [path.parent.name for path in shared.glob("leases/*/*.released") if path.read_text() == "published\n"]
    assert len(published) == len(set(published)) == len(tiny.all_losses(alone)) + 2
    (taken,) = [state for state in read_leases(shared) if state.claim.key == held.claim.key]
    assert (held.claim.token, taken.claim.token, taken.released) == (1, 2, "published")
    run = read_run(shared)
    assert run and [one.exit for one in run.launches] == [0, 0]
    assert not list(shared.glob("stages/*.*")) and not list(shared.glob("evaluations/*.*"))


def test_another_study_is_refused_while_a_launch_lives(tmp_path: Path) -> None:
    (told,) = run_ranks(join_two, 1, tmp_path)
    assert re.fullmatch(r".* is in use by another study \(process \d+ on .*\); wait until that ends, or .*", told)


def join_two(run_dir: Path) -> str:
    with (
        joined(run_dir, 100, "one"),
        joined(run_dir, 100, "one"),
        joined(run_dir, 100),
        pytest.raises(UserError) as caught,
        joined(run_dir, 100, "two"),
    ):
        pass
    with joined(run_dir, 100, "two"):
        return str(caught.value)


def num_losses(path: Path) -> int:
    return path.read_text().count('"loss"')


def wait_for(true: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
