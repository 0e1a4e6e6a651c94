"""Training one stage from wherever it stopped to its end."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xstilts.cluster import dist, heartbeat
from xstilts.config.recipe import Runtime
from xstilts.config.training import Training
from xstilts.data.keyed import derive_seed
from xstilts.data.loader import MicroBatch, StepLoader
from xstilts.errors import UserError
from xstilts.model.multitask import MultiTaskModel
from xstilts.training import checkpoint, state
from xstilts.training.engine import Engine
from xstilts.training.flops import peak_flops, training_flops
from xstilts.training.optimizer import learning_rate
from xstilts.training.saver import Saver
from xstilts.training.tracking import StepReport, Tracker
from xstilts.training.weights import save_weights

DevScores = Callable[[Engine], Mapping[str, float]]
"""English dev score of each task of the stage, the same on every rank."""


@dataclass(frozen=True)
class Outcome:
    """How a stage ended."""

    num_steps: int
    """Steps taken."""
    selected_step: int
    """Step whose weights were kept."""
    selection: str
    """`best_dev` or `last`."""
    dev_score: float | None


def train(
    model: MultiTaskModel,
    loader: StepLoader,
    runtime: Runtime,
    deepspeed_json: Mapping[str, Any],
    folder: Path,
    tensorboard: Path,
    *,
    name: str,
    seed: int,
    dev_scores: DevScores,
) -> Outcome:
    """Trains to the end and leaves the selected weights in `folder/weights.safetensors`; a collective.

    `seed` names the stage's dropout. A stage that was interrupted continues from its newest whole checkpoint, its
    losses the same as if it had never stopped.
    """
    training = loader.training
    num_steps = training.count_steps(sum(loader.plan.sizes.values()))
    saved = folder / "checkpoints"
    engine, progress = _begin(model, training, deepspeed_json, saved, _agreed_fingerprint(loader, num_steps))
    saver = Saver(
        saved,
        keep=runtime.keep_checkpoints,
        keep_every=runtime.keep_every,
        asynchronous=runtime.async_checkpoint,
    )
    with Tracker(name, folder, tensorboard, log_every=runtime.log_every, num_steps=num_steps, first_step=progress.step) as tracker:
        start = f"continuing after step {progress.step}" if progress.step else "starting"
        tracker.say(f"{name}: {start}, {num_steps} steps over {', '.join(f'{task} {n:,}' for task, n in loader.plan.sizes.items())}")
        batches = loader.iterate(progress.step, num_steps, dist.rank(), dist.world_size())
        stopped = _out_of_patience(progress, training)
        while not stopped and progress.step < num_steps:
            report = _step(engine, loader, next(batches), progress.step, num_steps, seed)
            progress.step += 1
            heartbeat.progress(step=progress.step, phase=name)
            tracker.step(report)
            if training.dev and (progress.step % training.dev.every == 0 or progress.step == num_steps):
                _select(engine, progress, dev_scores(engine), saved, tracker)
                stopped = _out_of_patience(progress, training)
                if stopped:
                    tracker.say(f"{name}: no better dev score in {training.dev.patience} evaluations, stopping at step {progress.step}")
            if progress.step % runtime.checkpoint_every == 0 and progress.step < num_steps:
                saver.save(engine, progress)
    saver.wait()
    outcome = _finish(engine, progress, saved, folder)
    engine.close()
    return outcome


def clean(folder: Path) -> None:
    """Removes what only an unfinished stage needs, once its end is recorded; on one rank."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _step(engine: Engine, loader: StepLoader, batches: list[MicroBatch], step: int, num_steps: int, seed: int) -> StepReport:
    begun = time.perf_counter()
    tasks = list(loader.kinds)
    parts = [0.0] * len(tasks)
    for micro in batches:
        got = engine.backward(micro.batch, derive_seed(seed, "dropout", step, micro.index))
        parts = [total + part for total, part in zip(parts, got.tolist(), strict=True)]
    lengths = [n for micro in batches if micro.example_ids for n in micro.batch.lengths_S]
    flops = training_flops(engine.model.encoder.config, lengths)
    summed = dist.sum_over_ranks([*parts, sum(lengths), flops])
    parts = summed[: len(tasks)]
    examples = loader.plan.drawn(step)
    lr = learning_rate(step, num_steps, loader.training)
    engine.step(lr)
    seconds = time.perf_counter() - begun
    peak = peak_flops()
    weight = {name: loader.plan.mixing.loss_weights.get(name, 1.0) / loader.plan.batch_size for name in tasks}
    return StepReport(
        step + 1,
        num_steps,
        loss=sum(parts),
        task_losses={t: p / (examples[t] * weight[t]) for t, p in zip(tasks, parts, strict=True) if examples[t] and weight[t]},
        task_examples=examples,
        num_tokens=int(summed[-2]),
        seconds=seconds,
        lr=lr,
        grad_norm=engine.grad_norm,
        mfu=None if peak is None else summed[-1] / seconds / (peak * dist.world_size()),
    )


def _agreed_fingerprint(loader: StepLoader, num_steps: int) -> str:
    """The plan's and its data's fingerprint, checked to be the same on every rank."""
    parts = [loader.plan.fingerprint(num_steps), *(features.fingerprint for features in loader.features.values())]
    fingerprint = "-".join(parts)
    for other, theirs in enumerate(dist.gather(fingerprint)):
        if theirs != fingerprint:
            raise UserError(f"ranks {dist.rank()} and {other} hold different data; give every host the same files and cache")
    return fingerprint


def _begin(
    model: MultiTaskModel, training: Training, deepspeed_json: Mapping[str, Any], saved: Path, fingerprint: str
) -> tuple[Engine, checkpoint.Progress]:
    """An engine at the newest whole checkpoint, or at the start.

    Saved master weights go into the module before DeepSpeed takes it, so that it derives its working copies from them.
    """
    found = checkpoint.find_latest(saved, print)
    if found is None:
        return Engine(model, training, deepspeed_json), checkpoint.Progress(plan=fingerprint)
    path, progress = found
    if progress.plan != fingerprint:
        raise UserError(f"{path} was made from other data or another plan; restore the data or remove the folder")
    tensors = checkpoint.open_tensors(path, {name: tuple(p.shape) for name, p in model.named_parameters()})
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"{state.MASTER}/{parameter_name}"]())
    engine = Engine(model, training, deepspeed_json)
    state.write(engine, progress.updates, lambda parameter, key: tensors[f"{key}/{parameter}"]())
    state.set_loss_scaling(engine, progress.loss_scaling)
    return engine, progress


def _select(engine: Engine, progress: checkpoint.Progress, scores: Mapping[str, float], saved: Path, tracker: Tracker) -> None:
    score = sum(scores.values()) / len(scores)
    better = progress.best_score is None or score > progress.best_score
    if better:
        progress.best_score, progress.best_step, progress.num_stale = score, progress.step, 0
        save_weights(checkpoint.best_path(saved, progress.step), engine)
    else:
        progress.num_stale += 1
    tracker.dev(progress.step, score, scores, better)


def _out_of_patience(progress: checkpoint.Progress, training: Training) -> bool:
    return training.dev is not None and progress.num_stale >= training.dev.patience


def _finish(engine: Engine, progress: checkpoint.Progress, saved: Path, folder: Path) -> Outcome:
    weights = folder / "weights.safetensors"
    if progress.best_score is None:
        save_weights(weights, engine)
        return Outcome(progress.step, progress.step, "last", None)

    def keep_best() -> None:
        temporary = weights.with_suffix(".tmp")
        shutil.copyfile(checkpoint.best_path(saved, progress.best_step), temporary)
        temporary.replace(weights)

    dist.on_first_rank(keep_best)
    return Outcome(progress.step, progress.best_step, "best_dev", progress.best_score)
