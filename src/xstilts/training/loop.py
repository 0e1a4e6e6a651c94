"""Training one stage from wherever it stopped to its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.config.recipe import Runtime
from xstilts.config.training import Training
from xstilts.core.atomic import cannot_write, whole_file
from xstilts.core.errors import UserError
from xstilts.data.loader import StepLoader
from xstilts.data.mixing import epoch_size
from xstilts.distributed import dist, heartbeat
from xstilts.model.multitask import MultiTaskModel
from xstilts.training.checkpoint import format as checkpoint
from xstilts.training.checkpoint.restore import restore
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.checkpoint.weights import save_weights
from xstilts.training.engine import Engine
from xstilts.training.monitors.collectives import CollectiveClock
from xstilts.training.monitors.health import Health
from xstilts.training.monitors.preemption import Preempted, Preemption
from xstilts.training.monitors.tracking import Tracker
from xstilts.training.step import Stepper

_MUCH_IDLE = 0.25
"""Share of empty forwards above which a step is said to be cut too coarsely for its ranks."""

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
    weights: str
    """Digest of the kept weights."""
    precision: str
    """What it was trained in: `bf16`; `bf16-fp32` if it was begun in one and finished in the other."""


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
    num_steps = training.count_steps(epoch_size(loader.plan.sizes, loader.plan.mixing))
    saved = folder / "checkpoints"
    engine, progress = _begin(model, training, deepspeed_json, saved, _agreed_fingerprint(loader, num_steps))
    health = Health(runtime.on_nonfinite, runtime.max_skips, progress.extra.get("health", {}))
    with (
        Tracker(
            name, folder, tensorboard, log_every=runtime.log_every, num_steps=num_steps, first_step=progress.step
        ) as tracker,
        Saver(
            saved,
            keep=runtime.keep_checkpoints,
            keep_every=runtime.keep_every,
            asynchronous=runtime.async_checkpoint,
        ) as saver,
        Preemption() as preemption,
        CollectiveClock() as collectives,
    ):
        start = f"continuing after step {progress.step}" if progress.step else "starting"
        precision = _precision(engine)
        if progress.precisions[-1:] not in ([], [precision]):
            tracker.say(f"{name}: goes on in {precision}; until step {progress.step} it was {progress.precisions[-1]}")
        if progress.precisions[-1:] != [precision]:
            progress.precisions.append(precision)
        sizes = ", ".join(f"{task} {n:,}" for task, n in loader.plan.sizes.items())
        tracker.say(f"{name}: {start}, {num_steps} steps over {sizes}")
        idle = loader.idle_share(progress.step, dist.world_size()) if progress.step < num_steps else 0.0
        if idle > _MUCH_IDLE:
            tracker.say(
                f"{name}: {idle:.0%} of the ranks' forwards are empty; "
                f"set runtime.micro_batches_per_step to a multiple of {dist.world_size()}"
            )
        stepper = Stepper(
            engine,
            loader,
            first=progress.step,
            num_steps=num_steps,
            seed=seed,
            health=health,
            preemption=preemption,
            saver=saver,
            collectives=collectives,
            tracker=tracker,
        )
        while True:
            if _dev_is_due(progress, training, num_steps):
                _select(engine, progress, dev_scores(engine), saved, tracker)
            if progress.step == num_steps:
                break
            if _out_of_patience(progress, training):
                tracker.say(f"{name}: stopping at step {progress.step}, no better in {progress.num_stale} evaluations")
                break
            preempted = stepper.take(progress.step)
            progress.step += 1
            progress.extra["health"] = health.carry()
            heartbeat.progress(step=progress.step, phase=name)
            if progress.step % runtime.straggler_every == 0:
                stepper.compare_ranks(progress.step, runtime.straggler_percent)
            # Saved first: who is told to end cannot wait for an evaluation, which the next launch makes up for.
            if preempted or (progress.step % runtime.checkpoint_every == 0 and progress.step < num_steps):
                saver.save(engine, progress)
            if preempted:
                saver.wait()
                tracker.say(f"{name}: asked to stop, saved at step {progress.step}; launch again to continue")
                raise Preempted
    outcome = _finish(engine, progress, saved, folder)
    engine.close()
    return outcome


def clean(folder: Path) -> None:
    """Removes what only an unfinished stage needs, once its end is recorded; on one rank."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _agreed_fingerprint(loader: StepLoader, num_steps: int) -> str:
    """The plan's and its data's fingerprint, checked to be the same on every rank."""
    parts = [loader.plan.fingerprint(num_steps), *(features.fingerprint for features in loader.features.values())]
    fingerprint = "-".join(parts)
    for other, theirs in enumerate(dist.gather(fingerprint)):
        if theirs != fingerprint:
            raise UserError(
                f"ranks {dist.rank()} and {other} hold different data; give every host the same files and cache"
            )
    return fingerprint


def _begin(
    model: MultiTaskModel, training: Training, deepspeed_json: Mapping[str, Any], saved: Path, fingerprint: str
) -> tuple[Engine, checkpoint.Progress]:
    """An engine at the newest whole checkpoint, or at the start."""
    found = checkpoint.find_latest(saved, print)
    if found is None:
        return Engine(model, training, deepspeed_json), checkpoint.Progress(plan=fingerprint)
    path, progress = found
    if progress.plan != fingerprint:
        raise UserError(f"{path} was made from other data or another plan; restore the data or remove the folder")
    return restore(path, progress, model, training, deepspeed_json), progress


def _precision(engine: Engine) -> str:
    return "bf16" if engine.deepspeed.bfloat16_enabled() else "fp16" if engine.deepspeed.fp16_enabled() else "fp32"


def _dev_is_due(progress: checkpoint.Progress, training: Training, num_steps: int) -> bool:
    if training.dev is None or progress.step == progress.dev_step:
        return False
    return progress.step % training.dev.every == 0 or progress.step == num_steps


def _select(
    engine: Engine, progress: checkpoint.Progress, scores: Mapping[str, float], saved: Path, tracker: Tracker
) -> None:
    progress.dev_step = progress.step
    score = sum(scores.values()) / len(scores)
    better = progress.best_score is None or score > progress.best_score
    if better:
        progress.best_score, progress.best_step, progress.num_stale = score, progress.step, 0
        progress.best_weights = save_weights(checkpoint.best_path(saved, progress.step), engine)
    else:
        progress.num_stale += 1
    tracker.dev(progress.step, score, scores, better)


def _out_of_patience(progress: checkpoint.Progress, training: Training) -> bool:
    return training.dev is not None and progress.num_stale >= training.dev.patience


def _finish(engine: Engine, progress: checkpoint.Progress, saved: Path, folder: Path) -> Outcome:
    weights, precision = folder / "weights.safetensors", "-".join(progress.precisions)
    if progress.best_score is None:
        return Outcome(progress.step, progress.step, "last", None, save_weights(weights, engine), precision)

    def keep_best() -> None:
        try:
            with whole_file(weights) as temporary:
                shutil.copyfile(checkpoint.best_path(saved, progress.best_step), temporary)
        except OSError as error:
            raise cannot_write(weights, error) from None

    dist.on_first_rank(keep_best)
    return Outcome(progress.step, progress.best_step, "best_dev", progress.best_score, progress.best_weights, precision)
