"""A step that is dropped leaves no trace, at any ZeRO stage: weights, moments and the next step are those of a run
that never saw it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from launch import run_ranks

from xstilts.cluster import dist
from xstilts.config.training import Mixing, Training
from xstilts.data.keyed import derive_seed
from xstilts.data.loader import StepLoader
from xstilts.model.multitask import MultiTaskModel

TASKS = ("mnli", "squad_v2", "ccg")
TRAINING = Training(steps=4, batch_size=24, lr=1e-3, weight_decay=0.1)
CASES = [(stage, "fp32") for stage in (0, 1, 2, 3)] + [(stage, "bf16") for stage in (1, 2, 3)]
GOOD, BAD = 0, 1


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
        if self.poisoned:
            output.last_hidden_state = _Poison.apply(output.last_hidden_state)
        return output


def make_loader(world: Path) -> StepLoader:
    return tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=160)


class Run:
    """An engine that takes good steps and drops or refuses bad ones."""

    def __init__(self, world: Path, stage: int, precision: str) -> None:
        from xstilts.training.engine import Engine

        model = tiny.model(world, TASKS)
        model.__class__ = PoisonedModel
        self.loader = make_loader(world)
        self.engine = Engine(model, TRAINING, tiny.deepspeed_json(stage, precision))

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
        from xstilts.training import state

        return {f"{key}/{name}": tensor.clone() for name, key, tensor in state.read(self.engine, state.keys(self.engine))}


PLANS = {
    "clean": ["good_step", None, "good_step", "good_step"],
    "dropped": ["good_step", "dropped_step", "good_step", "good_step"],
    "refused": ["good_step", "refused_step", "good_step", "good_step"],
    "clean start": [None, None, "good_step", "good_step"],
    "dropped start": ["dropped_step", "dropped_step", "good_step", "good_step"],
    "refused start": ["refused_step", "dropped_step", "good_step", "good_step"],
}


def run_plans(world: Path) -> dict[tuple[int, str, str], Any]:
    """Runs in every rank."""
    found = {}
    for stage, precision in CASES:
        for plan, moves in PLANS.items():
            run = Run(world, stage, precision)
            for step, move in enumerate(moves):
                if move:
                    getattr(run, move)(step)
            found[stage, precision, plan] = run.state()
            run.engine.close()
    return found


@pytest.fixture(scope="module")
def ended(tiny_world: Path) -> Mapping[tuple[int, str, str], Any]:
    tiny.catalogue(tiny_world)
    return run_ranks(run_plans, 2, tiny_world)[0]


@pytest.mark.parametrize("clean, spoilt", [("clean", "dropped"), ("clean", "refused"), ("clean start", "dropped start"), ("clean start", "refused start")])
@pytest.mark.parametrize("stage, precision", CASES)
def test_bad_step_leaves_no_trace(ended: Any, stage: int, precision: str, clean: str, spoilt: str) -> None:
    expected, got = ended[stage, precision, clean], ended[stage, precision, spoilt]
    assert {key.split("/")[0] for key in expected} == {"master", "exp_avg", "exp_avg_sq"}
    assert expected.keys() == got.keys()
    different = [key for key in expected if not torch.equal(expected[key], got[key])]
    assert not different
