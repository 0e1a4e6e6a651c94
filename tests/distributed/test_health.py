"""A step that is not finite leaves no trace at any ZeRO stage, is named, and is judged alike by a run that was resumed.

The losses of the runs here are those of the program's own training loop, in two ranks, of which one alone sees what is
wrong.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from launch import run_ranks
from safetensors.torch import load_file

from xstilts.config.training import Mixing, Training
from xstilts.core.errors import UserError
from xstilts.core.seeds import derive_seed
from xstilts.data.loader import MicroBatch, StepLoader
from xstilts.distributed import dist
from xstilts.model.multitask import MultiTaskModel
from xstilts.training.checkpoint.format import path_of, verify

TASKS = ("mnli", "squad_v2", "ccg")
TRAINING = Training(steps=8, batch_size=12, lr=1e-3, weight_decay=0.1)
CASES = [
    *((stage, "fp32") for stage in (0, 1, 2, 3)),
    *((stage, "bf16") for stage in (1, 2, 3)),
    (2, "bf16 offload"),
]


class _Poison(torch.autograd.Function):
    """Nothing forward, NaN backward."""

    @staticmethod
    def forward(context: Any, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.clone()

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return gradient * float("nan")


class PoisonedModel(MultiTaskModel):
    """Gives a gradient that is NaN while `poisoned`."""

    poisoned = False

    def _encode(self, batch: Any, **options: bool) -> Any:
        output = super()._encode(batch, **options)
        return _Poison.apply(output) if self.poisoned else output


def make_loader(world: Path) -> StepLoader:
    return tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=160)


class Run:
    """An engine that takes good steps and drops or refuses bad ones."""

    def __init__(self, world: Path, stage: int, precision: str) -> None:
        from xstilts.training.engine import Engine

        model = tiny.model(world, TASKS)
        model.__class__ = PoisonedModel
        self.loader = make_loader(world)
        config = copy.deepcopy(dict(tiny.deepspeed_json(stage, precision.removesuffix(" offload"))))
        if precision.endswith(" offload"):
            config["zero_optimization"]["offload_optimizer"] = {"device": "cpu", "pin_memory": False}
        self.engine = Engine(model, TRAINING, config)

    def backward(self, step: int) -> None:
        micro_batches = self.loader.load(step, dist.rank(), dist.world_size())
        assert len(micro_batches) >= 2, "nothing is added up"
        for micro in micro_batches:
            self.engine.backward(micro.batch, derive_seed(0, step, micro.index))

    def good_step(self, step: int) -> None:
        self.backward(step)
        took = self.engine.step(1e-3)
        assert took

    def dropped_step(self, step: int) -> None:
        """Rank 1 alone sees a bad micro-batch."""
        self.engine.model.poisoned = dist.rank() == dist.world_size() - 1
        self.backward(step)
        self.engine.model.poisoned = False
        self.engine.drop_gradients()

    def refused_step(self, step: int) -> None:
        self.engine.model.poisoned = dist.rank() == dist.world_size() - 1
        self.backward(step)
        self.engine.model.poisoned = False
        took = self.engine.step(1e-3)
        assert not took
        assert self.engine.grad_norm == math.inf

    def state(self) -> dict[str, torch.Tensor]:
        from xstilts.training.checkpoint import state

        return {
            f"{key}/{name}": torch.cat(list(parts))
            for name, key, parts in state.read(self.engine, state.keys(self.engine))
        }


PLANS = {
    "clean": ["good_step"] * 3,
    "spoilt": ["refused_step", "dropped_step", "good_step", "dropped_step", "refused_step", "good_step", "good_step"],
}


def run_plans(world: Path) -> dict[tuple[int, str, str], Any]:
    """Runs in every rank. Good steps have data 0, 1, 2 whatever comes between them, bad ones have their own."""
    found = {}
    for stage, precision in CASES:
        for plan, moves in PLANS.items():
            run = Run(world, stage, precision)
            num_good, num_bad = 0, 0
            for move in moves:
                if move == "good_step":
                    run.good_step(num_good)
                    num_good += 1
                else:
                    getattr(run, move)(100 + num_bad)
                    num_bad += 1
            found[stage, precision, plan] = run.state()
            run.engine.close()
    return found


@pytest.fixture(scope="module")
def ended(tiny_world: Path) -> Mapping[tuple[int, str, str], Any]:
    tiny.catalogue(tiny_world)
    return run_ranks(run_plans, 2, tiny_world, timeout=280)[0]


@pytest.mark.parametrize(("stage", "precision"), CASES)
def test_bad_step_leaves_no_trace(ended: Any, stage: int, precision: str) -> None:
    expected, got = ended[stage, precision, "clean"], ended[stage, precision, "spoilt"]
    assert {key.split("/")[0] for key in expected} == {"master", "exp_avg", "exp_avg_sq"}
    assert expected.keys() == got.keys()
    different = [key for key in expected if not torch.equal(expected[key], got[key])]
    assert not different


LOOP = {"checkpoint_every": 1000, "log_every": 1000, "straggler_every": 1000, "max_skips": 2}
NUM_STEPS = 8


class SpoiltLoader(StepLoader):
    """Gives NaN as the weight of every example in the first micro-batch of some steps."""

    bad_steps: tuple[int, ...] = ()

    def load(self, step: int, rank: int, world_size: int) -> list[MicroBatch]:
        loaded = super().load(step, rank, world_size)
        for micro in loaded:
            if step in self.bad_steps and micro.index == 0:
                for head in micro.batch.heads.values():
                    head.weights.fill_(math.nan)
        return loaded


def train_spoilt(
    world: Path,
    folder: Path,
    bad_steps: tuple[int, ...],
    stop_at: int | None = None,
    trials: tuple[int, ...] = (),
    **runtime: Any,
) -> str:
    """The program's training loop; returns how it ended on this rank. At `stop_at` the last rank alone is told to. The
    largest micro-batch is tried before the steps `trials`."""
    from xstilts.config.runtime import Runtime
    from xstilts.training.job import Folders, Job
    from xstilts.training.loop import train
    from xstilts.training.monitors import preemption
    from xstilts.training.step import Stepper

    take = Stepper.take

    def try_and_take(stepper: Stepper, step: int) -> bool:
        if step in trials:
            stepper.try_largest(step)
        return take(stepper, step)

    Stepper.take = try_and_take  # type: ignore[method-assign]
    loader = make_loader(world)
    loader = SpoiltLoader(**{field.name: getattr(loader, field.name) for field in fields(loader)})
    object.__setattr__(loader, "bad_steps", bad_steps)
    heard = iter(range(NUM_STEPS))
    preemption.heartbeat.preemption_requested = lambda: (
        next(heard, None) == stop_at and dist.rank() == dist.world_size() - 1
    )
    try:
        job = Job("spoilt", tiny.SEED, tiny.model(world, TASKS), loader, dev_scores=lambda engine: {})
        folders = Folders(folder, folder / "tensorboard")
        train(job, Runtime(**{**LOOP, **runtime}), tiny.deepspeed_json(2), folders)
    except preemption.Preempted as error:
        return f"exit {error.code}"
    except UserError as error:
        return str(error)
    finally:
        Stepper.take = take  # type: ignore[method-assign]
    return "done"


def run_spoilt(world: Path, folder: Path) -> dict[str, str]:
    """Runs in every rank."""
    return {
        "whole": train_spoilt(world, folder / "whole", (3, 5)),
        "tried": train_spoilt(world, folder / "tried", (3, 5), trials=(0, 1, 4, NUM_STEPS)),
        "interrupted": train_spoilt(world, folder / "resumed", (3, 5), stop_at=4),
        "resumed": train_spoilt(world, folder / "resumed", (3, 5)),
        "too many": train_spoilt(world, folder / "too many", (2, 3)),
        "stop": train_spoilt(
            world, folder / "stop", (3,), on_nonfinite="stop", checkpoint_every=1, async_checkpoint=True
        ),
    }


@pytest.fixture(scope="module")
def spoilt(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, str]], Path]:
    """How the runs ended on each rank, and their folder."""
    tiny.catalogue(tiny_world)
    folder = tmp_path_factory.mktemp("spoilt")
    return run_ranks(run_spoilt, 2, tiny_world, folder, timeout=280), folder


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()]


def test_bad_batch_is_named_and_the_step_is_skipped(spoilt: Any, tiny_world: Path) -> None:
    endings, folder = spoilt
    assert [ending["whole"] for ending in endings] == ["done", "done"]
    found = records(folder / "whole")
    steps = [record for record in found if "lr" in record]
    assert [(r["step"], r["loss"] is None, r.get("skipped")) for r in steps] == [
        (n, n in (4, 6), "loss" if n in (4, 6) else None) for n in range(1, NUM_STEPS + 1)
    ]
    first, second = (record for record in found if "suspects" in record)
    loader = make_loader(tiny_world)
    examples = [f"{task}/{name}" for task, names in loader.load(3, 0, 1)[0].ids.items() for name in names]
    (suspect,) = first["suspects"]
    assert suspect["micro_batch"] == 0
    assert suspect["examples"] == examples
    assert first["event"].startswith(f"step 4 is skipped, its loss is not finite: {examples[0]}, ")
    assert f"on rank {suspect['rank']} (" in first["event"]
    assert second["event"].endswith("(1 in a row, 2 in all)")


def test_trial_of_the_largest_micro_batch_leaves_no_trace(spoilt: Any) -> None:
    endings, folder = spoilt
    assert [ending["tried"] for ending in endings] == ["done", "done"]
    assert tiny.losses(folder / "tried") == tiny.losses(folder / "whole")
    whole, tried = (load_file(folder / name / "weights.safetensors") for name in ("whole", "tried"))
    assert all(torch.equal(whole[name], tried[name]) for name in whole)


def test_rank_that_is_asked_to_stop_takes_the_other_along(spoilt: Any) -> None:
    endings, folder = spoilt
    assert [ending["interrupted"] for ending in endings] == ["exit 75", "exit 75"]
    assert "spoilt: asked to stop, saved at step 5; launch again to continue" in [
        record.get("event") for record in records(folder / "resumed")
    ]


def test_resumed_run_skips_counts_and_trains_as_the_whole_one(spoilt: Any) -> None:
    endings, folder = spoilt
    assert [ending["resumed"] for ending in endings] == ["done", "done"]
    assert tiny.losses(folder / "resumed") == tiny.losses(folder / "whole")
    whole, resumed = (
        [record["event"] for record in records(folder / name) if "suspects" in record] for name in ("whole", "resumed")
    )
    assert resumed == whole
    whole, resumed = (load_file(folder / name / "weights.safetensors") for name in ("whole", "resumed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_too_many_skips_in_a_row_end_the_run_on_every_rank(spoilt: Any) -> None:
    for ending in spoilt[0]:
        assert ending["too many"].startswith("step 4 is skipped, its loss is not finite: ")
        assert ending["too many"].endswith("; runtime.max_skips is 2: mend the data or lower training.lr")


def test_policy_to_stop_ends_the_run_on_every_rank(spoilt: Any) -> None:
    for ending in spoilt[0]:
        assert ending["stop"].startswith("step 4 is skipped")
        assert "set runtime.on_nonfinite=skip" in ending["stop"]
    assert verify(path_of(spoilt[1] / "stop" / "checkpoints", 3)).step == 3, "written while step 4 was judged"
