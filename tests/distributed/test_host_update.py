"""The update that the ranks of a host share out, against torch's own of one process and against DeepSpeed's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tiny
import torch
from launch import run_ranks
from torch import nn

from xstilts.config.training import Mixing, Training
from xstilts.distributed import dist
from xstilts.training.checkpoint.format import Progress, find_latest
from xstilts.training.checkpoint.restore import restore
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.engine import Engine
from xstilts.training.host_update import HostUpdate
from xstilts.training.optimizer import make_optimizer, parameter_groups

WORLD_SIZE = 3
SHAPES = {"matrix": (5, 3), "long": (3, 2**16 + 5), "vector": (7,), "single": (1,)}
TRAININGS = {
    "adamw": Training(steps=1, weight_decay=0.1, max_grad_norm=0),
    "adamw, clipped": Training(steps=1, weight_decay=0.1, max_grad_norm=0.5),
    "sgd": Training(steps=1, weight_decay=0.1, max_grad_norm=0, optimizer="sgd"),
    "sgd, clipped": Training(steps=1, weight_decay=0.1, max_grad_norm=0.5, optimizer="sgd"),
}
NOT_FINITE = 2
"""Step in which a rank has such a gradient."""


@dataclass(frozen=True)
class Seen:
    ours: list[Mapping[str, torch.Tensor]]
    """By step."""
    expected: list[Mapping[str, torch.Tensor]]
    norms: list[tuple[float, float]]
    poked: torch.Tensor
    """A parameter that rank 1 alone has written into, as this rank sees it."""


def new_parameters() -> nn.Module:
    model = nn.Module()
    model.encoder = nn.ParameterDict(
        {n: torch.linspace(-1, 1, torch.Size(s).numel()).view(s) for n, s in SHAPES.items()}
    )
    return model


def micro_gradients(step: int, rank: int) -> Iterator[dict[str, torch.Tensor]]:
    """Of two micro-batches; a rank that is not the first has none of one parameter, and rank 1 has a bad one once."""
    for micro in range(2):
        generator = torch.Generator().manual_seed(100 * step + 10 * rank + micro)
        found = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
        if rank:
            del found["vector"]
        if (step, rank, micro) == (NOT_FINITE, 1, 1):
            found["long"][2, 77] = torch.inf
        yield found


def step_both_ways(trainings: Mapping[str, Training]) -> dict[str, Seen]:
    """Runs in every rank."""
    found = {}
    for name, training in trainings.items():
        ours, plain = new_parameters(), new_parameters()
        if dist.rank():
            ours.encoder.matrix.data.fill_(100.0)  # rank 0's counts
        host = HostUpdate.of(parameter_groups(ours, training), training)
        assert host is not None
        optimizer = make_optimizer(parameter_groups(plain, training), training)
        seen = Seen([], [], [], ours.encoder.matrix)
        for step in range(5):
            for gradients in micro_gradients(step, dist.rank()):
                sum((ours.encoder[n] * gradient).sum() for n, gradient in gradients.items()).backward()
            host.optimizer.step()
            ours.zero_grad()
            of_ranks = [list(micro_gradients(step, rank)) for rank in range(dist.world_size())]
            for n, parameter in plain.encoder.items():
                sums = [sum(g[n] for g in micros) for micros in of_ranks if n in micros[0]]
                parameter.grad = sum(sums[1:], sums[0])
            norm = sum(float(p.grad.double().square().sum()) for p in plain.parameters()) ** 0.5
            nn.utils.clip_grad_norm_(plain.parameters(), training.max_grad_norm or torch.inf)
            if math.isfinite(norm):
                optimizer.step()
            seen.norms.append((host.grad_norm, norm))
            seen.ours.append({n: parameter.detach().clone() for n, parameter in ours.encoder.items()})
            seen.expected.append({n: parameter.detach().clone() for n, parameter in plain.encoder.items()})
            dist.barrier()
        if dist.rank() == 1:
            ours.encoder.matrix.data.fill_(7.0)
        dist.barrier()
        found[name] = replace(seen, poked=ours.encoder.matrix.detach().clone())
        host.close()
    return found


@pytest.fixture(scope="module")
def stepped() -> list[dict[str, Seen]]:
    return run_ranks(step_both_ways, WORLD_SIZE, TRAININGS)


@pytest.mark.parametrize("name", TRAININGS)
def test_parameters_are_those_of_one_process(stepped: list[dict[str, Seen]], name: str) -> None:
    for seen in (rank[name] for rank in stepped):
        for ours, expected in zip(seen.ours, seen.expected, strict=True):
            for parameter, value in expected.items():
                if TRAININGS[name].max_grad_norm:
                    torch.testing.assert_close(ours[parameter], value, rtol=1e-6, atol=1e-6)
                else:
                    assert torch.equal(ours[parameter], value), parameter
        assert not torch.equal(seen.ours[-1]["vector"], seen.ours[0]["vector"])


@pytest.mark.parametrize("name", TRAININGS)
def test_a_gradient_that_is_not_finite_changes_nothing(stepped: list[dict[str, Seen]], name: str) -> None:
    for seen in (rank[name] for rank in stepped):
        before, after = seen.ours[NOT_FINITE - 1 : NOT_FINITE + 1]
        assert all(torch.equal(after[parameter], value) for parameter, value in before.items())
        for step, (ours, expected) in enumerate(seen.norms):
            assert ours == pytest.approx(expected, rel=1e-6)
            assert (ours == float("inf")) == (step == NOT_FINITE)
        assert seen.norms == stepped[0][name].norms


def test_all_ranks_have_the_same_memory(stepped: list[dict[str, Seen]]) -> None:
    assert all(bool((seen.poked == 7.0).all()) for rank in stepped for seen in rank.values())


TASKS = ("mnli", "squad_v2")
CLIPPED = Training(steps=5, batch_size=12, lr=1e-3, max_grad_norm=0.1)
WHOLE = Training(steps=5, batch_size=12, lr=1e-3, max_grad_norm=0)
PATHS = {
    "shared": (WHOLE, {5: True}),
    "by DeepSpeed": (WHOLE, {5: False}),
    "by DeepSpeed, clipped": (CLIPPED, {5: False}),
    "first shared, clipped": (CLIPPED, {3: True, 5: False}),
    "then shared, clipped": (CLIPPED, {3: False, 5: True}),
}
"""Up to which step, from whose checkpoint the run goes on, who updates."""


def train_all_ways(world: Path, folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Runs in every rank: weights after five steps at ZeRO-0, one of them refused."""
    of, found = HostUpdate.of, {}
    for path, (training, legs) in PATHS.items():
        loader = tiny.loader(world, TASKS, training, Mixing(weighting="uniform"), token_budget=160)
        progress = Progress()
        for end, is_shared in legs.items():
            HostUpdate.of = of if is_shared else lambda groups, training: None  # type: ignore[assignment, method-assign]
            saved = find_latest(folder / path, print)
            model = tiny.model(world, TASKS)
            if saved is None:
                engine = Engine(model, training, tiny.deepspeed_json(0))
            else:
                engine = restore(*saved, model, training, tiny.deepspeed_json(0))
            assert (engine._host is not None) == is_shared
            assert is_mapped() == is_shared
            for step in range(progress.step, end):
                for micro in loader.load(step, dist.rank(), dist.world_size()):
                    engine.backward(micro.batch, step)
                if step == 1 and dist.rank() == 1:
                    next(p for p in engine.trained.values() if p.grad is not None).grad.view(-1)[3] = torch.nan
                assert engine.step(1e-3) == (step != 1)
            progress.step = end
            Saver(folder / path, keep=1).save(engine, progress)
            assert progress.updates == end - 1
            found[path] = {name: parameter.detach().clone() for name, parameter in engine.trained.items()}
            found[path]["norm"] = torch.tensor(engine.grad_norm)
            engine.close()
            assert not is_mapped()
    HostUpdate.of = of  # type: ignore[method-assign]
    return found


def is_mapped() -> bool:
    """Whether this process has shared memory of ours."""
    return "/dev/shm/xstilts-" in Path("/proc/self/maps").read_text()


def test_steps_and_checkpoints_are_those_of_deepspeed(tiny_world: Path, tmp_path: Path) -> None:
    tiny.catalogue(tiny_world)
    ranks = run_ranks(train_all_ways, 2, tiny_world, tmp_path)
    first = ranks[0]
    assert first["by DeepSpeed, clipped"]["norm"] > CLIPPED.max_grad_norm
    for path, weights in first.items():
        expected = first["by DeepSpeed, clipped" if "clipped" in path else "by DeepSpeed"]
        assert weights.keys() == expected.keys()
        for name, value in weights.items():
            assert torch.equal(value, ranks[1][path][name])
            if "clipped" in path or name == "norm":
                torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-6)
            else:  # multiplying by two ranks and dividing again is exact
                assert torch.equal(value, expected[name]), name
