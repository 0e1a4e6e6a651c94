"""Stages with keys of their own, trained by the program in real ranks and by plain PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import tiny
import torch
from launch import run_ranks
from plain import loss_of_present_heads, train_plainly

from xstilts.config.runtime import Runtime
from xstilts.config.selection import Snapshots
from xstilts.config.training import Mixing, StageConfig, Training
from xstilts.core.seeds import derive_seed
from xstilts.data.batch import PackedBatch
from xstilts.data.code_switched import code_switched, find_words
from xstilts.data.loader import StepLoader
from xstilts.data.store import FeatureSet
from xstilts.model.adapters import add_adapters
from xstilts.model.encoder import new_encoder
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.study.stage_data import training_features
from xstilts.tasks import find_task

Key = Literal["adapters", "heads", "code_switch", "subset", "average"]
"""New adapters behind frozen ones, orthogonal to the encoder; heads on such an encoder; text with words switched; half
of the pairs with their labels shuffled, their inputs as text; the mean of weights kept along the way."""

FROZEN: tuple[Key, ...] = ("adapters", "heads")
"""Keys whose encoder is frozen."""

Case = tuple[Key, int, str]
"""Key, ZeRO stage and precision."""

TASKS = ("mnli", "squad_v2", "mlm_text")
NUM_STEPS = 8
TRAINING = Training(steps=NUM_STEPS, batch_size=9, lr=1e-2, weight_decay=0.5, max_grad_norm=1.0, warmup=0.25)
ORTHOGONAL = 0.5
STAGES = (0, 1, 2, 3)
SNAPSHOTS = Snapshots(every=2, keep=3)
KEPT = (4, 6, 8)
"""Steps whose weights are then averaged."""


@dataclass(frozen=True)
class Deviation:
    """What a trained stage is from plain PyTorch's."""

    loss: float
    """Largest of any step."""
    weight: float
    """Largest of any value that is trained."""
    num_frozen: int
    """Tensors that are not."""
    changed: tuple[str, ...]
    """Those of them that differ in any bit from what the stage began with."""
    unmoved: tuple[str, ...]
    """Trained tensors that are still what they were."""


def make_loader(world: Path, key: Key) -> StepLoader:
    loader = tiny.loader(world, TASKS, TRAINING, Mixing(weighting="uniform"), token_budget=320)
    if key == "subset":
        features = {**loader.features, **_controls(world)}
        sizes = {name: len(rows) for name, rows in features.items()}
        return replace(loader, features=features, plan=replace(loader.plan, sizes=sizes))
    if key != "code_switch":
        return loader
    text = loader.features["mlm_text"]
    tokens = [feature.tokens for feature in text.load(range(len(text)))]
    words = sorted({word for of_one in tokens for *_, word in find_words(loader.tokenizer, of_one)})
    dictionary = {word: [loader.tokenizer.encode(f"{other} {word}").ids] for word, other in pairwise(words)}
    switched = code_switched(text, loader.tokenizer, dictionary, "digest", 0.5, derive_seed(tiny.SEED, "switch"))
    return replace(loader, features={**loader.features, "mlm_text": switched})


def _controls(world: Path) -> dict[str, FeatureSet]:
    part = {"part": "random", "fraction": 0.5}
    stages: list[dict[str, Any]] = [
        {"tasks": ["mnli"], "subset": part, "labels": "shuffled"},
        {"tasks": ["mlm_text"], "inputs_of": "mnli"},
    ]
    opened = tiny.catalogue(world)
    found = [training_features(opened, StageConfig.model_validate(stage), tiny.SEED) for stage in stages]
    return {name: features for of_one in found for name, features in of_one.items()}


def make_model(world: Path, key: Key) -> MultiTaskModel:
    """As a stage begins: where the encoder is frozen with the adapters of a stage before."""
    opened = tiny.catalogue(world)
    specs = {task.name: HeadSpec(task.kind, len(opened.labels(task) or ())) for task in map(find_task, TASKS)}
    encoder = new_encoder(tiny.MODEL, opened.tokenizer, seed=0)
    if key in FROZEN:
        add_adapters(encoder, 7, seed=1)
        encoder.requires_grad_(False)
    if key == "adapters":
        add_adapters(encoder, 5, seed=2)
    orthogonal = ORTHOGONAL if key == "adapters" else 0.0
    return MultiTaskModel(encoder, specs, seed=derive_seed(tiny.SEED, "heads"), orthogonal=orthogonal)


def train_stage(world: Path, folder: Path, case: Case, stop_after: int | None = None) -> None:
    """Runs in every rank: from where the stage stands to its end, or to the step after which it is told to end."""
    from xstilts.training.job import Folders, Job
    from xstilts.training.loop import train
    from xstilts.training.monitors import preemption

    key, stage, precision = case
    json = tiny.deepspeed_json(stage, precision)
    snapshots = SNAPSHOTS if key == "average" else None
    model, loader = make_model(world, key), make_loader(world, key)
    job = Job("keys", tiny.SEED, model, loader, dev_scores=lambda engine: {}, snapshots=snapshots)
    taken = len(tiny.losses(folder)) if (folder / "steps.jsonl").exists() else 0
    heard = iter(range(taken + 1, NUM_STEPS + 1))
    preemption.heartbeat.preemption_requested = lambda: next(heard, None) == stop_after
    try:
        train(job, Runtime(log_every=1000), json, Folders(folder, folder / "tensorboard"))
    except preemption.Preempted:
        assert stop_after is not None


def train_cases(world: Path, folder: Path, cases: Sequence[Case], resumed: Sequence[Case]) -> None:
    """Runs in every rank: `resumed` are trained once more, with a break."""
    for case in cases:
        train_stage(world, folder / name_of(case), case)
    for case in resumed:
        for stop_after in (NUM_STEPS // 2, None):
            train_stage(world, folder / f"{name_of(case)}-resumed", case, stop_after)


def run_cases(world_size: int, world: Path, folder: Path, cases: Sequence[Case], resumed: Sequence[Case] = ()) -> None:
    """One launch for all cases."""
    tiny.catalogue(world)
    run_ranks(train_cases, world_size, world, folder, cases, resumed, timeout=850)


def run_legs(world: Path, folder: Path, key: Key, legs: Sequence[tuple[int, int, int | None]]) -> None:
    """One launch per leg: ranks, ZeRO stage, and the step after which it is told to end."""
    tiny.catalogue(world)
    for world_size, stage, stop_after in legs:
        run_ranks(train_stage, world_size, world, folder, (key, stage, "fp32"), stop_after, timeout=850)


def name_of(case: Case) -> str:
    """Of the folder that it is trained into."""
    return "-".join(map(str, case))


@functools.cache
def reference(world: Path, key: Key) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and last trained weights of plain PyTorch."""
    torch.set_num_threads(1)
    loss_of = _loss_with_overlap if key == "adapters" else loss_of_present_heads
    averaged = KEPT if key == "average" else ()
    return train_plainly(make_model(world, key), make_loader(world, key), loss_of, averaged)


def deviation(world: Path, folder: Path, key: Key) -> Deviation:
    """Of the stage that was trained into a folder."""
    expected_losses, expected = reference(world, key)
    losses, found = list(tiny.losses(folder).values()), mean_weights(folder) if key == "average" else weights(folder)
    begun = {name: parameter.detach() for name, parameter in make_model(world, key).named_parameters()}
    assert len(losses) == NUM_STEPS and found.keys() == begun.keys()
    frozen = begun.keys() - expected.keys()
    # Softmax does not see a shift of all keys, so a key's bias has a true gradient of zero, which Adam divides by its
    # own rounding error.
    exact = [name for name in expected if not name.endswith("key.bias")]
    return Deviation(
        loss=max(abs(a - b) for a, b in zip(losses, expected_losses, strict=True)),
        weight=max((found[name] - expected[name]).abs().max().item() for name in exact),
        num_frozen=len(frozen),
        changed=tuple(name for name in frozen if not torch.equal(found[name], begun[name])),
        unmoved=tuple(name for name in expected if torch.equal(found[name], begun[name])),
    )


def weights(folder: Path) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "weights.safetensors")


def mean_weights(folder: Path) -> Mapping[str, torch.Tensor]:
    """Of the last that were kept along the way; a checkpoint may still speak of earlier ones."""
    from safetensors.torch import load_file

    kept = [load_file(folder / "snapshots" / f"{step:08d}.safetensors") for step in KEPT]
    return {name: torch.stack([of_one[name] for of_one in kept]).mean(0) for name in kept[0]}


def equal_bit_for_bit(folder: Path, other: Path) -> bool:
    """Whether two stages took the same losses and ended with the same weights."""
    mine, theirs = weights(folder), weights(other)
    same = mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
    return same and tiny.losses(folder) == tiny.losses(other)


def _loss_with_overlap(model: MultiTaskModel, batch: PackedBatch) -> torch.Tensor:
    """The term that keeps adapters orthogonal, from what their modules are given and give."""
    seen: list[torch.Tensor] = []
    hooks = []
    for layer in model.encoder.encoder.layer:
        newest: Any = layer.output.adapters[-1]
        hooks.append(newest.register_forward_hook(lambda _, given, added: seen.append(_squares(given[0], added))))
    loss = loss_of_present_heads(model, batch)
    for hook in hooks:
        hook.remove()
    mean_L = torch.stack(seen).mean(0)[0]
    return loss + ORTHOGONAL * (mean_L * batch.weights_L).sum()


def _squares(before: torch.Tensor, added: torch.Tensor) -> torch.Tensor:
    """Where all units of a bottleneck are off, nothing is added, and there is no angle: 0."""
    lengths = before.norm(dim=-1) * added.square().sum(-1).clamp(min=1e-16).sqrt()
    return ((before * added).sum(-1) / lengths) ** 2
