"""ZeRO 0 to 3 on 1, 2 and 3 ranks against plain PyTorch: the same plan, every head kind, dropout on, fp32.

The reference is `plain`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from launch import run_ranks
from plain import loss_of_present_heads, train_plainly

from xstilts.config.runtime import Runtime
from xstilts.config.training import Mixing, Training
from xstilts.data.loader import StepLoader

pytestmark = pytest.mark.timeout(900)  # a launch serves many tests, and the cores may be shared

NUM_STEPS = 12
TOLERANCE = 1e-5
STAGES = (0, 1, 2, 3)
TRAININGS = {
    "sgd": Training(steps=NUM_STEPS, batch_size=9, optimizer="sgd", lr=0.3, max_grad_norm=1.0),
    "adamw": Training(steps=NUM_STEPS, batch_size=9, optimizer="adamw", lr=1e-3, weight_decay=0.1, max_grad_norm=1.0),
}
MIXINGS = {
    "by example": Mixing(weighting="uniform", loss_weights={"mnli": 2.0}),
    "by batch": Mixing(by="batch", weighting="uniform"),
}
CASES = [("sgd", "by example"), ("adamw", "by batch")]


def make_loader(world: Path, optimizer: str, mixing: str) -> StepLoader:
    return tiny.loader(world, tiny.ALL_HEADS, TRAININGS[optimizer], MIXINGS[mixing], token_budget=320)


@pytest.fixture(scope="module")
def references(tiny_world: Path) -> dict[tuple[str, str], tuple[list[float], dict[str, torch.Tensor]]]:
    torch.set_num_threads(1)
    return {
        case: train_plainly(
            tiny.model(tiny_world, tiny.ALL_HEADS), make_loader(tiny_world, *case), loss_of_present_heads
        )
        for case in CASES
    }


def train_with_deepspeed(world: Path, folder: Path) -> dict[tuple[int, str, str], Any]:
    """Runs in every rank: all cases at all stages, through the program's own training loop."""
    from safetensors.torch import load_file

    from xstilts.training.job import Folders, Job
    from xstilts.training.loop import train

    found = {}
    for stage in STAGES:
        for case in CASES:
            out = folder / f"{stage}-{'-'.join(case)}"
            model, loader = tiny.model(world, tiny.ALL_HEADS), make_loader(world, *case)
            job = Job("parity", tiny.SEED, model, loader, dev_scores=lambda engine: {})
            folders = Folders(out, out / "tensorboard")
            train(job, Runtime(log_every=NUM_STEPS), tiny.deepspeed_json(stage), folders)
            found[stage, *case] = (list(tiny.losses(out).values()), load_file(out / "weights.safetensors"))
    return found


@functools.cache
def trained(world_size: int, world: Path, folder: Path) -> Mapping[tuple[int, str, str], Any]:
    """One launch per world size serves all its tests."""
    tiny.catalogue(world)
    return run_ranks(train_with_deepspeed, world_size, world, folder)[0]


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("optimizer", "mixing"), CASES)
def test_training_equals_plain_pytorch(
    references: Any,
    tiny_world: Path,
    tmp_path_factory: pytest.TempPathFactory,
    world_size: int,
    stage: int,
    optimizer: str,
    mixing: str,
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"parity{world_size}"
    losses, parameters = trained(world_size, tiny_world, folder)[stage, optimizer, mixing]
    expected_losses, expected = references[optimizer, mixing]
    assert len(losses) == NUM_STEPS
    assert max(abs(a - b) for a, b in zip(losses, expected_losses, strict=True)) < TOLERANCE
    # Softmax does not see a shift of all keys, so a key's bias has a true gradient of zero, which Adam divides by its
    # own rounding error.
    shift_invariant = {name for name in expected if optimizer == "adamw" and name.endswith("key.bias")}
    assert parameters.keys() == expected.keys()
    worst = {name: (parameters[name] - expected[name]).abs().max().item() for name in expected.keys() - shift_invariant}
    assert max(worst.values()) < TOLERANCE, max(worst.items(), key=lambda item: item[1])
    begun = dict(tiny.model(tiny_world, tiny.ALL_HEADS).named_parameters())
    moved = min((expected[name] - p).abs().max().item() for name, p in begun.items() if p.ndim >= 2)
    assert moved > 100 * TOLERANCE, "too little moved to tell"


def test_the_plans_hold_the_hazards_of_zero(tiny_world: Path) -> None:
    """What DeepSpeed gets silently wrong without every head in every micro-batch: the parity above covers it all."""
    by_example, by_batch = ([make_loader(tiny_world, *case).cut(step) for step in range(NUM_STEPS)] for case in CASES)
    tasks = [[frozenset(units.task for units in micro) for micro in cut] for cut in by_example]
    assert any(len(set(micros)) > 1 for micros in tasks), "the tasks change between the micro-batches of one step"
    assert any(len(cut) % 2 for cut in by_example) and any(len(cut) % 3 for cut in by_example), "uneven accumulation"
    assert any(len(cut) == 1 for cut in by_batch), "ranks without any work"
    drawn = [{units.task for micro in cut for units in micro} for cut in by_batch]
    assert all(len(step) == 1 for step in drawn) and len(set.union(*drawn)) == 5, "heads absent for a whole step"
