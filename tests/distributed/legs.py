"""A run in legs: each on its own number of ranks, at its own stage and precision, from the checkpoint of the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tiny
import torch
from launch import run_ranks

from xstilts.config.training import Mixing, Training
from xstilts.core.seeds import derive_seed
from xstilts.data.loader import StepLoader
from xstilts.distributed import dist
from xstilts.training.checkpoint import state
from xstilts.training.checkpoint.format import Progress, find_latest, open_tensors
from xstilts.training.checkpoint.restore import restore
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.engine import Engine
from xstilts.training.optimizer import learning_rate

Config = tuple[int, str]
"""ZeRO stage and precision."""

Legs = tuple[Config, Config, Config, Config]

RANKS = (1, 2, 3, 1)
"""World size of each leg."""


@dataclass(frozen=True)
class Leg:
    """What a leg shows."""

    losses: list[float]
    num_tensors: int
    """Tensors gathered right after loading; 0 in the first leg."""
    different: list[str]
    """Those of them that differ in any bit from the saved ones, and the update count if it does."""


def run_legs(world: Path, folder: Path, paths: Sequence[Legs], num_steps: int) -> Mapping[Legs, list[Leg]]:
    """All paths, `num_steps` per leg; one launch per leg serves all paths."""
    tiny.catalogue(world)
    legs = [run_ranks(run_leg, RANKS[i], world, folder, paths, i, num_steps, timeout=900)[0] for i in range(len(RANKS))]
    return {path: [leg[path] for leg in legs] for path in paths}


def run_unbroken(world: Path, configs: Sequence[Config], num_steps: int) -> Mapping[Config, list[float]]:
    """Losses of all legs' steps on one rank without any break, per stage and precision."""
    tiny.catalogue(world)
    return run_ranks(train_unbroken, 1, world, configs, num_steps, timeout=900)[0]


def training_of(num_steps: int) -> Training:
    return Training(steps=len(RANKS) * num_steps, batch_size=9, lr=1e-3, weight_decay=0.1)


def make_loader(world: Path, num_steps: int) -> StepLoader:
    """Each step in four micro-batches or a multiple: none idle on one rank, two or four, but on three."""
    mixing = Mixing(weighting="uniform")
    loader = tiny.loader(world, tiny.ALL_HEADS, training_of(num_steps), mixing, token_budget=640)
    return replace(loader, micro_batches_per_step=4)


def train_unbroken(world: Path, configs: Sequence[Config], num_steps: int) -> dict[Config, list[float]]:
    loader = make_loader(world, num_steps)
    found = {}
    for config in configs:
        engine = Engine(tiny.model(world, tiny.ALL_HEADS), loader.training, tiny.deepspeed_json(*config))
        found[config] = take_steps(engine, loader, 0, len(RANKS) * num_steps)
        engine.close()
    return found


def run_leg(world: Path, folder: Path, paths: Sequence[Legs], index: int, num_steps: int) -> dict[Legs, Leg]:
    loader = make_loader(world, num_steps)
    found = {}
    for path in paths:
        saved = folder / "-".join(f"{stage}{precision}" for stage, precision in path)
        model = tiny.model(world, tiny.ALL_HEADS)
        json = tiny.deepspeed_json(*path[index])
        latest = find_latest(saved, print)
        if latest is None:
            assert index == 0
            progress, engine = Progress(), Engine(model, loader.training, json)
            num_tensors, different = 0, []
        else:
            progress = latest[1]
            assert progress.step == index * num_steps
            engine = restore(*latest, model, loader.training, json)
            num_tensors, different = compare(engine, *latest)
        losses = take_steps(engine, loader, progress.step, progress.step + num_steps)
        progress.step += num_steps
        Saver(saved, keep=1).save(engine, progress)
        engine.close()
        found[path] = Leg(losses, num_tensors, different)
    return found


def compare(engine: Engine, path: Path, progress: Progress) -> tuple[int, list[str]]:
    """How many tensors the engine holds, and which of them are not those of the checkpoint, bit by bit."""
    saved = open_tensors(path, tiny.shapes(engine.model))
    read = state.read(engine, state.keys(engine))
    gathered = {f"{key}/{name}": torch.cat(list(parts)) for name, key, parts in read}
    assert gathered.keys() == saved.keys()
    different = [name for name, tensor in gathered.items() if not torch.equal(tensor, saved[name]())]
    if state.num_updates(engine) != progress.step:
        different.append("number of updates")
    return len(gathered), different


def take_steps(engine: Engine, loader: StepLoader, first: int, last: int) -> list[float]:
    losses = []
    for step in range(first, last):
        total = 0.0
        for micro in loader.load(step, dist.rank(), dist.world_size()):
            seed = derive_seed(tiny.SEED, "dropout", step, micro.index)
            total += engine.backward(micro.batch, seed)[: len(tiny.ALL_HEADS)].sum().item()
        losses.append(dist.sum_over_ranks([total])[0])
        engine.step(learning_rate(step, loader.training.steps or 0, loader.training))
    return losses
