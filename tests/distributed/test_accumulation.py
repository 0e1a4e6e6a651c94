"""Half precision: what the optimizer is given is the sum in fp32 of the micro-batches' gradients, unrounded."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import tiny
import torch
from launch import run_ranks

from xstilts.config.training import Mixing, Training
from xstilts.core.seeds import derive_seed
from xstilts.training.engine import Engine

TASKS = ("mnli", "squad_v2")
TRAINING = Training(steps=1, batch_size=24, max_grad_norm=0)
STAGES = (1, 2, 3)


def given_and_expected(world: Path) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """Runs in the rank: by stage, all gradients as AdamW sees them, and as plain PyTorch adds them up, sorted."""
    loader = tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=160)
    micro_batches = loader.load(0, 0, 1)
    assert len(micro_batches) > 4
    seeds = [derive_seed(0, micro.index) for micro in micro_batches]
    plain = tiny.model(world, TASKS).to(torch.bfloat16)
    sums = [torch.zeros(parameter.shape) for parameter in plain.parameters()]
    for micro, seed in zip(micro_batches, seeds, strict=True):
        torch.manual_seed(seed)
        loss, _ = plain(micro.batch)
        loss.backward()
        for total, parameter in zip(sums, plain.parameters(), strict=True):
            assert parameter.grad is not None
            total += parameter.grad.float()
            parameter.grad = None
    expected = sorted_without_zeros(sums)
    found = {}
    for stage in STAGES:
        engine = Engine(tiny.model(world, TASKS), TRAINING, tiny.deepspeed_json(stage, "bf16"))
        seen: list[torch.Tensor] = []
        base = engine.deepspeed.optimizer.optimizer
        base.register_step_pre_hook(
            lambda optimizer, *_, seen=seen: seen.extend(
                p.grad.clone() for group in optimizer.param_groups for p in group["params"] if p.grad is not None
            )
        )
        for micro, seed in zip(micro_batches, seeds, strict=True):
            engine.backward(micro.batch, seed)
        engine.step(1e-3)
        found[stage] = (sorted_without_zeros(seen), expected)
        engine.close()
    return found


def sorted_without_zeros(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Partitions are flat and padded, each stage in its own order."""
    values = torch.cat([tensor.float().flatten() for tensor in tensors])
    return values[values != 0].sort().values


@functools.cache
def gradients(world: Path) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    tiny.catalogue(world)
    return run_ranks(given_and_expected, 1, world)[0]


@pytest.mark.parametrize("stage", STAGES)
def test_the_accumulated_gradient_is_not_rounded(tiny_world: Path, stage: int) -> None:
    given, expected = gradients(tiny_world)[stage]
    assert share_of_bf16(expected) < 0.2, "too little was added up to tell"
    assert share_of_bf16(given) < 0.2
    if stage < 3:  # stage 3 has a linear layer of its own, which rounds otherwise
        assert torch.equal(given, expected)


def share_of_bf16(values: torch.Tensor) -> float:
    """Share of the values that bf16 can hold."""
    return float((values == values.bfloat16().float()).float().mean())
