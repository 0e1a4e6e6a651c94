"""Training the vocabulary rows that occur against training all: the same trajectory at ZeRO 0 to 3 on 2 ranks, with a
step that is skipped, and on resuming with other ranks, at another stage and with the option switched."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from launch import run_ranks

from xstilts.config.runtime import Runtime
from xstilts.config.training import Mixing, Training
from xstilts.data.loader import MicroBatch, StepLoader

TASKS = ("mnli", "ccg", "cosmos_qa")
NUM_STEPS = 9
BAD_STEP = 2
TRAINING = Training(steps=NUM_STEPS, batch_size=8, lr=3e-3, weight_decay=1.0)
STAGES = (0, 1, 2, 3)
TOLERANCE = 1e-6
LEGS = ((2, 2, "occurring", 3), (1, 3, "all", 6), (2, 1, "occurring", None))
"""Ranks, ZeRO stage, rows trained, and the step after which it is told to end."""


class SpoiltLoader(StepLoader):
    """Gives NaN as the weight of every example of a step."""

    def load(self, step: int, rank: int, world_size: int) -> list[MicroBatch]:
        loaded = super().load(step, rank, world_size)
        for micro in loaded if step == BAD_STEP else ():
            for head in micro.batch.heads.values():
                head.weights.fill_(math.nan)
        return loaded


def train_stage(world: Path, folder: Path, stage: int, rows: str, stop_after: int | None = None) -> None:
    """Runs in every rank."""
    from xstilts.training.job import Folders, Job
    from xstilts.training.loop import train
    from xstilts.training.monitors import preemption

    loader = tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=160)
    loader = SpoiltLoader(**{field.name: getattr(loader, field.name) for field in fields(loader)})
    job = Job("rows", tiny.SEED, tiny.model(world, TASKS), loader, dev_scores=lambda engine: {})
    steps = folder / "steps.jsonl"
    taken = len(tiny.losses(folder)) if steps.exists() else 0
    heard = iter(range(taken + 1, NUM_STEPS + 1))
    preemption.heartbeat.preemption_requested = lambda: next(heard, None) == stop_after
    runtime = Runtime(log_every=1000, straggler_every=1000, vocabulary_rows=rows)  # type: ignore[arg-type]
    try:
        train(job, runtime, tiny.deepspeed_json(stage), Folders(folder, folder / "tensorboard"))
    except preemption.Preempted:
        assert stop_after is not None


def train_both(world: Path, folder: Path) -> None:
    """Runs in every rank."""
    for stage in STAGES:
        for rows in ("all", "occurring"):
            train_stage(world, folder / f"{rows}-{stage}", stage, rows)


@pytest.fixture(scope="module")
def folder(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tiny.catalogue(tiny_world)
    folder = tmp_path_factory.mktemp("rows")
    run_ranks(train_both, 2, tiny_world, folder)
    for world_size, *leg in LEGS:
        run_ranks(train_stage, world_size, tiny_world, folder / "legs", *leg)
    return folder


def records(folder: Path, key: str) -> list[dict[str, Any]]:
    lines = (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if key in record]


def compare(folder: Path, found: str, expected: str) -> None:
    from safetensors.torch import load_file

    found_steps, expected_steps = records(folder / found, "loss"), records(folder / expected, "loss")
    assert [step["step"] for step in found_steps] == list(range(1, NUM_STEPS + 1))
    for mine, theirs in zip(found_steps, expected_steps, strict=True):
        if theirs["step"] == BAD_STEP + 1:
            assert mine["skipped"] == theirs["skipped"] == "loss"
        else:
            assert mine["loss"] == pytest.approx(theirs["loss"], abs=TOLERANCE)
            assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=TOLERANCE)
    of_found, of_expected = (load_file(folder / name / "weights.safetensors") for name in (found, expected))
    assert of_found.keys() == of_expected.keys()
    for name, tensor in of_expected.items():
        if not name.endswith("key.bias"):  # its true gradient is zero, and Adam divides rounding by itself
            torch.testing.assert_close(of_found[name], tensor, rtol=0, atol=TOLERANCE, msg=name)


@pytest.mark.parametrize("stage", STAGES)
def test_the_trajectory_is_that_of_the_whole_table(folder: Path, stage: int) -> None:
    compare(folder, f"occurring-{stage}", f"all-{stage}")


def test_resumed_elsewhere_and_with_the_option_switched_it_is_still_the_same(folder: Path) -> None:
    compare(folder, "legs", "all-2")


def test_rows_are_left_out_and_decay(folder: Path, tiny_world: Path) -> None:
    """Or the tests above would show nothing."""
    from safetensors.torch import load_file

    (said,) = [r["event"] for r in records(folder / "occurring-1", "event") if "vocabulary rows" in r["event"]]
    num_trained, num_pieces = (int(n) for n in re.findall(r"trains the (\d+) of (\d+) vocabulary rows", said)[0])
    assert num_trained < 0.9 * num_pieces
    name = "encoder.embeddings.word_embeddings.weight"
    begun = dict(tiny.model(tiny_world, TASKS).named_parameters())[name].detach()
    ended = load_file(folder / "occurring-1" / "weights.safetensors")[name]
    rates = [step["lr"] for step in records(folder / "occurring-1", "loss") if "skipped" not in step]
    assert len(rates) == NUM_STEPS - 1
    decayed = begun * math.prod(1 - rate * TRAINING.weight_decay for rate in rates)
    untouched = (ended - decayed).abs().amax(1) < TOLERANCE
    assert num_pieces - num_trained <= int(untouched.sum()) < num_pieces - 50, "some that occur were not drawn"
    assert (decayed - begun).abs().max() > 100 * TOLERANCE
