"""Vectors and gradients summed in shared memory, by real ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny
import torch
from launch import run_ranks

from xstilts.config.training import Mixing, Training
from xstilts.distributed import dist

SIZES = (1, 2, 3 * 2**16 + 5)
TASKS = ("mnli", "squad_v2")
TRAINING = Training(steps=3, batch_size=12, lr=1e-3)


def add_up(folder: Path) -> list[Any]:
    """Runs in every rank: the sums of vectors of several sizes twice over, and what is given where it cannot be."""
    from xstilts.distributed import shared_memory

    shared_memory._FOLDER = folder
    found: list[Any] = []
    for size in SIZES:
        shared = shared_memory.share_vector(size)
        assert shared is not None
        for factor in (1.0, 10.0):
            shared.own.copy_(torch.arange(size) + factor * dist.rank())
            shared.sum()
            found.append(shared.own.clone())
    found.append(sorted(path.name for path in folder.iterdir()))

    reserve = shared_memory._reserve
    if dist.rank() == 1:
        shared_memory._reserve = _refuse
    found.append(shared_memory.share_vector(5))
    shared_memory._reserve = reserve
    if dist.rank() == 1:  # as on another host
        shared_memory._FOLDER = folder / "other"
        shared_memory._FOLDER.mkdir()
    found.append(shared_memory.share_vector(5))
    dist.barrier()
    found.append(sorted(path.name for path in folder.rglob("*")))
    return found


def _refuse(path: Path, num_bytes: int) -> None:
    raise OSError(28, "No space left on device")


def test_every_rank_has_the_sum_and_no_file_is_left(tmp_path: Path) -> None:
    world_size = 3
    for found in run_ranks(add_up, world_size, tmp_path):
        sums, (left, refused, apart, left_at_last) = found[: 2 * len(SIZES)], found[2 * len(SIZES) :]
        expected = [
            world_size * torch.arange(size) + factor * sum(range(world_size)) for size in SIZES for factor in (1, 10)
        ]
        for got, wanted in zip(sums, expected, strict=True):
            assert torch.equal(got, wanted.float())
        assert (left, refused, apart, left_at_last) == ([], None, None, ["other"])


def train_both_ways(world: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Runs in every rank: weights after three steps at ZeRO-0, with gradients added up in shared memory or by
    DeepSpeed."""
    from xstilts.training.engine import Engine
    from xstilts.training.host_gradients import HostGradients

    found = {}
    shared = HostGradients.of
    for way in ("shared", "by DeepSpeed"):
        if way == "by DeepSpeed":
            HostGradients.of = lambda parameters: None  # type: ignore[assignment, method-assign]
        loader = tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=160)
        engine = Engine(tiny.model(world, TASKS), TRAINING, tiny.deepspeed_json(0))
        assert (engine._gradients is None) == (way == "by DeepSpeed")
        for step in range(3):
            for micro in loader.load(step, dist.rank(), dist.world_size()):
                engine.backward(micro.batch, step)
            assert engine.step(1e-3)
        found[way] = {name: parameter.detach().clone() for name, parameter in engine.trained.items()}
        found[way]["norm"] = torch.tensor(engine.grad_norm)
        engine.close()
    HostGradients.of = shared  # type: ignore[method-assign]
    return found


def test_steps_are_those_of_deepspeed(tiny_world: Path) -> None:
    tiny.catalogue(tiny_world)
    ranks = run_ranks(train_both_ways, 2, tiny_world)
    for found in ranks:
        assert found["shared"].keys() == found["by DeepSpeed"].keys()
        for name, value in found["shared"].items():
            # Multiplying by two ranks and dividing again is exact.
            assert torch.equal(value, found["by DeepSpeed"][name]), name
            assert torch.equal(value, ranks[0]["shared"][name])
