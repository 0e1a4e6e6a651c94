"""What is recorded of each item while training: the losses that add up to the step's, the same on one rank and two,
and none of it changes what is trained."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from launch import run_ranks

from xstilts.config.runtime import Runtime
from xstilts.config.training import Mixing, Training
from xstilts.data.loader import StepLoader
from xstilts.measures.visits import read_visits

NUM_STEPS = 8
TRAINING = Training(steps=NUM_STEPS, batch_size=40, lr=1e-3)
PER_TASK = TRAINING.batch_size // len(tiny.ALL_HEADS)


def make_loader(world: Path) -> StepLoader:
    """Windows of one question go into several micro-batches, and these to different ranks."""
    loader = tiny.loader(world, tiny.ALL_HEADS, TRAINING, Mixing(weighting="uniform"), token_budget=640)
    return replace(loader, micro_batches_per_step=4)


def train_all(world: Path, folder: Path, options: dict[str, dict[str, Any]]) -> None:
    """Runs in the rank: a training for each name, at a ZeRO stage, with or without a record."""
    from xstilts.training.job import Folders, Job
    from xstilts.training.loop import train

    for name, option in options.items():
        job = Job("visits", tiny.SEED, tiny.model(world, tiny.ALL_HEADS), make_loader(world), dev_scores=lambda _: {})
        runtime = Runtime(log_every=100, checkpoint_every=3, record_visits=option["record"])
        own = folder / name
        outcome = train(job, runtime, tiny.deepspeed_json(option["stage"]), Folders(own, own / "tensorboard"))
        assert outcome.num_visits == (NUM_STEPS * TRAINING.batch_size if option["record"] else None)


def steps_of(folder: Path) -> list[dict[str, Any]]:
    """`steps.jsonl` without what takes time."""
    records = map(json.loads, (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines())
    return [{key: r[key] for key in ("step", "loss", "tasks", "grad_norm")} for r in records if "loss" in r]


def test_visits_add_up_to_the_losses_on_one_rank_and_two(tiny_world: Path, tmp_path: Path) -> None:
    tiny.catalogue(tiny_world)
    run_ranks(train_all, 1, tiny_world, tmp_path, {"alone": {"stage": 0, "record": True}})
    shared = {"shared": {"stage": 3, "record": True}, "without": {"stage": 3, "record": False}}
    run_ranks(train_all, 2, tiny_world, tmp_path, shared)
    assert steps_of(tmp_path / "shared") == steps_of(tmp_path / "without")
    assert not (tmp_path / "without" / "visits").exists()

    loader = make_loader(tiny_world)
    for name in ("alone", "shared"):
        assert len(list((tmp_path / name / "visits").iterdir())) == 1
        rows = read_visits(tmp_path / name / "visits", NUM_STEPS).to_pylist()
        found: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for row in rows:
            numbers_of_target = 2 if row["task"] == "squad_v2" else 1
            found[row["step"]][row["task"]] += row["nll"] / row["num_targets"] / numbers_of_target / PER_TASK
        for step in steps_of(tmp_path / name):
            assert dict(found[step["step"] - 1]) == pytest.approx(step["tasks"], rel=1e-5)
        expected = []
        for number, draws in [(n, draws) for n in range(NUM_STEPS) for draws in loader.plan.step(n)]:
            features = loader.features[draws.task].load(draws.rows)
            for feature, turn in zip(features, draws.turns.tolist(), strict=True):
                epoch = turn // loader.plan.sizes[draws.task]
                count = feature.num_targets if draws.task != "mlm_text" else None
                expected.append((number, draws.task, feature.id, epoch, count))
        seen = sorted((r["step"], r["task"], r["id"], r["visit"]) for r in rows)
        assert seen == sorted((step, task, id_, visit) for step, task, id_, visit, _ in expected)
        counts = {(r["step"], r["task"], r["id"], r["visit"]): r["num_targets"] for r in rows}
        assert all(counts[tuple(key)] == count for *key, count in expected if count is not None)
        assert max(row["num_targets"] for row in rows if row["task"] == "squad_v2") > 1
        assert max(row["visit"] for row in rows) > 0

    alone, both = (read_visits(tmp_path / name / "visits", NUM_STEPS) for name in ("alone", "shared"))
    whole = ["task", "id", "step", "visit", "num_targets"]
    assert alone.select(whole) == both.select(whole)
    for name in ("nll", "p_gold"):
        assert alone[name].to_pylist() == pytest.approx(both[name].to_pylist(), rel=1e-4)
