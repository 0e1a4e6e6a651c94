"""Adapters in a frozen encoder at ZeRO 0 to 3 against plain PyTorch, and on resuming; heads alone too.

The reference shares the data and the modules with the program: neither DeepSpeed nor the term that keeps adapters
orthogonal. The whole matrix of stages and ranks is
slow (`make proof-stage-keys`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import tiny
import torch
from launch import run_ranks
from test_parity import loss_of_present_heads, train_plainly

from xstilts.config.recipe import Runtime
from xstilts.config.training import Mixing, Training
from xstilts.core.seeds import derive_seed
from xstilts.data.batch import PackedBatch
from xstilts.data.loader import StepLoader
from xstilts.model.adapters import add_adapters
from xstilts.model.encoder import new_encoder
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.tasks import find_task

pytestmark = pytest.mark.timeout(900)  # a launch serves many tests, and the cores may be shared

Trained = Literal["adapters", "heads"]
TASKS = ("mnli", "squad_v2", "mlm_text")
NUM_STEPS = 8
TRAINING = Training(steps=NUM_STEPS, batch_size=9, lr=1e-2, weight_decay=0.5, max_grad_norm=1.0)
WEIGHT = 0.5
STAGES = (0, 1, 2, 3)
TOLERANCE = 1e-5
FEW: dict[Trained, tuple[int, ...]] = {"adapters": (2, 3), "heads": (3,)}
ALL: dict[Trained, tuple[int, ...]] = {"adapters": STAGES, "heads": STAGES}
LEGS = ((2, 2, 3), (3, 3, 6), (1, 0, None))
"""Ranks, ZeRO stage, and the step after which it is told to end."""


def make_loader(world: Path) -> StepLoader:
    return tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=320)


def make_model(world: Path, trained: Trained) -> MultiTaskModel:
    """An encoder with the adapters of a stage before, frozen."""
    opened = tiny.catalogue(world)
    specs = {task.name: HeadSpec(task.kind, len(opened.labels(task) or ())) for task in map(find_task, TASKS)}
    encoder = new_encoder(tiny.MODEL, opened.tokenizer, seed=0)
    add_adapters(encoder, 7, seed=1)
    encoder.requires_grad_(False)
    if trained == "adapters":
        add_adapters(encoder, 5, seed=2)
    orthogonal = WEIGHT if trained == "adapters" else 0.0
    return MultiTaskModel(encoder, specs, seed=derive_seed(tiny.SEED, "heads"), orthogonal=orthogonal)


def loss_with_overlap(model: MultiTaskModel, batch: PackedBatch) -> torch.Tensor:
    """Every example counts 1/9 of the step, its tokens alike."""
    seen: list[torch.Tensor] = []
    hooks = []
    for layer in model.encoder.encoder.layer:
        newest: Any = layer.output.adapters[-1]
        hooks.append(newest.register_forward_hook(lambda _, given, added: seen.append(_cosines(given[0], added))))
    loss = loss_of_present_heads(model, batch)
    for hook in hooks:
        hook.remove()
    mean_L = torch.stack(seen).mean(0)[0]
    return loss + WEIGHT * (mean_L * batch.weights_L).sum()


def _cosines(before: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    """Where all units of a bottleneck are off, nothing is added, and there is no angle: 0."""
    lengths = before.norm(dim=-1) * added.square().sum(-1).clamp(min=1e-16).sqrt()
    return ((before * added).sum(-1) / lengths) ** 2


def train_stage(world: Path, folder: Path, stage: int, trained: Trained, stop_after: int | None = None) -> None:
    """Runs in every rank: from where the stage stands to its end, or to the step after which it is told to end."""
    from xstilts.training.job import Folders, Job
    from xstilts.training.loop import train
    from xstilts.training.monitors import preemption

    job = Job("adapters", tiny.SEED, make_model(world, trained), make_loader(world), dev_scores=lambda engine: {})
    taken = len(tiny.losses(folder)) if (folder / "steps.jsonl").exists() else 0
    heard = iter(range(taken + 1, NUM_STEPS + 1))
    preemption.heartbeat.preemption_requested = lambda: next(heard, None) == stop_after
    try:
        train(job, Runtime(log_every=1000), tiny.deepspeed_json(stage), Folders(folder, folder / "tensorboard"))
    except preemption.Preempted:
        assert stop_after is not None


def train_all(world: Path, folder: Path, cases: Mapping[Trained, tuple[int, ...]]) -> None:
    """Runs in every rank."""
    for trained, stages in cases.items():
        for stage in stages:
            train_stage(world, folder / f"{trained}-{stage}", stage, trained)
    for stop_after in (4, None):
        train_stage(world, folder / "resumed", 2, "adapters", stop_after)


@functools.cache
def on_two_ranks(world: Path, folder: Path) -> Path:
    """One launch serves two tests."""
    tiny.catalogue(world)
    run_ranks(train_all, 2, world, folder, FEW, timeout=800)
    return folder


@functools.cache
def reference(world: Path, trained: Trained) -> tuple[list[float], dict[str, torch.Tensor]]:
    torch.set_num_threads(1)
    loss_of = loss_with_overlap if trained == "adapters" else loss_of_present_heads
    return train_plainly(make_model(world, trained), make_loader(world), loss_of)


def weights(folder: Path) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "weights.safetensors")


def check(world: Path, folder: Path, trained: Trained) -> None:
    """Losses and what is trained are those of plain PyTorch; what is frozen is there, and the same to the bit."""
    expected_losses, expected = reference(world, trained)
    losses = list(tiny.losses(folder).values())
    assert len(losses) == NUM_STEPS
    assert max(abs(a - b) for a, b in zip(losses, expected_losses, strict=True)) < TOLERANCE
    found = weights(folder)
    begun = {name: parameter.detach() for name, parameter in make_model(world, trained).named_parameters()}
    assert found.keys() == begun.keys()
    for name, tensor in begun.items():
        if name in expected:
            assert (found[name] - expected[name]).abs().max().item() < TOLERANCE, name
            assert not torch.equal(found[name], tensor), name
        else:
            assert name.startswith("encoder.")
            assert torch.equal(found[name], tensor), name


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "adapters"


def check_all(world: Path, folder: Path, cases: Mapping[Trained, tuple[int, ...]]) -> None:
    assert sum(".adapters.1." in name for name in reference(world, "adapters")[1]) == 2 * 4
    for trained, stages in cases.items():
        for stage in stages:
            check(world, folder / f"{trained}-{stage}", trained)


def test_training_equals_plain_pytorch_and_the_frozen_stays(tiny_world: Path, folder: Path) -> None:
    check_all(tiny_world, on_two_ranks(tiny_world, folder), FEW)


def test_a_stage_that_was_interrupted_ends_bit_for_bit_as_one_that_was_not(tiny_world: Path, folder: Path) -> None:
    found = on_two_ranks(tiny_world, folder)
    assert tiny.losses(found / "resumed") == tiny.losses(found / "adapters-2")
    resumed, unbroken = weights(found / "resumed"), weights(found / "adapters-2")
    assert all(torch.equal(resumed[name], tensor) for name, tensor in unbroken.items())


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_zero_stage_on_every_number_of_ranks(tiny_world: Path, tmp_path: Path, world_size: int) -> None:
    tiny.catalogue(tiny_world)
    run_ranks(train_all, world_size, tiny_world, tmp_path, ALL, timeout=800)
    check_all(tiny_world, tmp_path, ALL)


@pytest.mark.slow
def test_it_goes_on_with_other_ranks_and_at_another_stage(tiny_world: Path, tmp_path: Path) -> None:
    tiny.catalogue(tiny_world)
    for world_size, stage, stop_after in LEGS:
        run_ranks(train_stage, world_size, tiny_world, tmp_path, stage, "adapters", stop_after)
    check(tiny_world, tmp_path, "adapters")
