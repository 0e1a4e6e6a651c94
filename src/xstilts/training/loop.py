"""Training one stage from wherever it stopped to its end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xstilts.config.runtime import Runtime
from xstilts.config.training import Training
from xstilts.core.atomic import cannot_write, whole_file
from xstilts.core.display import Display
from xstilts.core.errors import UserError
from xstilts.distributed import dist, heartbeat
from xstilts.training.checkpoint import format as checkpoint
from xstilts.training.checkpoint.format import Progress
from xstilts.training.checkpoint.restore import restore
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.checkpoint.snapshots import take_snapshot
from xstilts.training.checkpoint.weights import save_weights
from xstilts.training.engine import Engine
from xstilts.training.job import Folders, Job
from xstilts.training.monitors.monitors import watching
from xstilts.training.monitors.preemption import Preempted
from xstilts.training.monitors.tracking import Tracker
from xstilts.training.step import Stepper
from xstilts.training.superseded import Superseded
from xstilts.training.visits import begin_visits, finish_visits, flush_visits

_MUCH_IDLE = 0.25
"""Share of empty forwards above which a step is said to be cut too coarsely for its ranks."""


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
    num_visits: int | None
    """Visits that were recorded; None without a whole record."""
    snapshots: dict[int, str]
    """Step -> digest of other weights that were kept, ascending."""


def train(
    job: Job,
    runtime: Runtime,
    deepspeed_json: Mapping[str, Any],
    folders: Folders,
    display: Display | None = None,
) -> Outcome:
    """Trains to the end and leaves the selected weights in `folders.weights`; a collective.

    A stage that was interrupted continues from its newest whole checkpoint, its losses the same as if it had never
    stopped. `display`: that of the study; None: the stage has its own.

    Raises:
        Superseded: another launch has taken the stage over; on every rank, at the step after that is known.
    """
    num_steps = job.num_steps
    piece_ids = job.occurring_pieces() if runtime.vocabulary_rows == "occurring" else None
    engine, progress = _begin(job, deepspeed_json, piece_ids, folders.checkpoints)
    with (
        _freed_if_superseded(engine),
        watching(job, runtime, folders, progress, display or Display()) as monitors,
        Saver(
            folders.checkpoints,
            keep=runtime.keep_checkpoints,
            keep_every=runtime.keep_every,
            asynchronous=runtime.async_checkpoint,
        ) as saver,
    ):
        say = monitors.tracker.say
        start, *more = _opening(job, engine, progress.step)
        say(f"{job.name}: {start}", after_step=progress.step)
        for sentence in more:
            say(f"{job.name}: {sentence}")
        visits = begin_visits(folders.visits, progress.step) if runtime.record_visits else None
        if runtime.record_visits and visits is None:
            say(f"{job.name}: records no visits: those of its first {progress.step} steps are not here, or damaged")
        stepper = Stepper(engine, job, saver, monitors, first=progress.step, visits=visits)
        while True:
            if _dev_is_due(progress, job.training, num_steps):
                _select(engine, progress, job.dev_scores(engine), folders.checkpoints, monitors.tracker)
            out_of_patience = progress.step < num_steps and _out_of_patience(progress, job.training)
            if job.snapshots and _snapshot_is_due(
                progress, job.snapshots.every, is_last=out_of_patience or progress.step == num_steps
            ):
                take_snapshot(engine, progress, saver, folders.checkpoints, job.snapshots.keep)
            if progress.step == num_steps:
                break
            if out_of_patience:
                say(f"{job.name}: stopping at step {progress.step}, no better in {progress.num_stale} evaluations")
                break
            preempted = stepper.take(progress.step)
            progress.step += 1
            progress.extra["health"] = monitors.health.carry()
            heartbeat.progress(step=progress.step, phase=job.name)
            if progress.step % runtime.straggler_every == 0:
                stepper.compare_ranks(progress.step, runtime.straggler_percent)
            # Saved first: who is told to end cannot wait for an evaluation, which the next launch makes up for.
            if preempted or (progress.step % runtime.checkpoint_every == 0 and progress.step < num_steps):
                if visits is not None:
                    flush_visits(visits, progress.step)
                saver.save(engine, progress)
            if preempted:
                saver.wait()
                say(f"{job.name}: asked to stop, saved at step {progress.step}; launch again to continue")
                raise Preempted
        recorded = None if visits is None else finish_visits(visits, folders.visits, progress.step)
        if isinstance(recorded, str):
            say(f"{job.name}: {recorded}")
    outcome = _finish(engine, progress, folders, recorded if isinstance(recorded, int) else None)
    engine.close()
    return outcome


@contextmanager
def _freed_if_superseded(engine: Engine) -> Iterator[None]:
    """The process goes on with other work, which needs the memory."""
    try:
        yield
    except Superseded:
        engine.close()
        raise


def clean(folder: Path) -> None:
    """Removes what only an unfinished stage needs, once its end is recorded; on one rank."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _begin(
    job: Job, deepspeed_json: Mapping[str, Any], piece_ids: torch.Tensor | None, saved: Path
) -> tuple[Engine, Progress]:
    """An engine at the newest whole checkpoint, or at the start."""
    fingerprint = job.fingerprint()
    found = checkpoint.find_latest(saved, print)
    if found is None:
        return Engine(job.model, job.training, deepspeed_json, piece_ids), Progress(plan=fingerprint)
    path, progress = found
    if progress.plan != fingerprint:
        raise UserError(f"{path} was made from other data or another plan; restore the data or remove the folder")
    return restore(path, progress, job.model, job.training, deepspeed_json, piece_ids), progress


def _opening(job: Job, engine: Engine, first: int) -> list[str]:
    """What is said before step number `first`, from 0, is taken."""
    start = f"continuing after step {first}" if first else "starting"
    sizes = ", ".join(f"{task} {n:,}" for task, n in job.loader.plan.sizes.items())
    sentences = [f"{start}, {job.num_steps} steps over {sizes}"]
    if engine.rows:
        left_out = engine.rows.num_left_out
        held, sent = left_out * engine.bytes_per_parameter, left_out * engine.bytes_sent_per_parameter
        rows = f"trains the {len(engine.rows.ids_R):,} of {engine.rows.num_pieces:,} vocabulary rows that occur"
        saved = f", {held / 1e6:,.0f} MB less to hold and {sent / 1e6:,.0f} MB to exchange" if held >= 1e6 else ""
        sentences.append(rows + saved)
    if engine.num_frozen:
        where = "heads" if engine.depth == "heads" else "adapters and heads"
        sentences.append(f"trains {where} alone: {engine.num_frozen:,} values of the encoder stay as they are")
    idle = job.loader.idle_share(first, dist.world_size()) if first < job.num_steps else 0.0
    if idle > _MUCH_IDLE:
        sentences.append(
            f"{idle:.0%} of the ranks' forwards are empty; "
            f"set runtime.micro_batches_per_step to a multiple of {dist.world_size()}"
        )
    return sentences


def _dev_is_due(progress: Progress, training: Training, num_steps: int) -> bool:
    if training.dev is None or progress.step == progress.dev_step:
        return False
    return progress.step % training.dev.every == 0 or progress.step == num_steps


def _snapshot_is_due(progress: Progress, every: int, *, is_last: bool) -> bool:
    due = is_last or (progress.step > 0 and progress.step % every == 0)
    return due and progress.step not in progress.snapshots


def _select(engine: Engine, progress: Progress, scores: Mapping[str, float], saved: Path, tracker: Tracker) -> None:
    progress.dev_step = progress.step
    score = sum(scores.values()) / len(scores)
    better = progress.best_score is None or score > progress.best_score
    if better:
        progress.best_score, progress.best_step, progress.num_stale = score, progress.step, 0
        progress.best_weights = save_weights(checkpoint.best_path(saved, progress.step), engine)
    else:
        progress.num_stale += 1
    tracker.dev(progress.step, score, scores, better)


def _out_of_patience(progress: Progress, training: Training) -> bool:
    return training.dev is not None and progress.num_stale >= training.dev.patience


def _finish(engine: Engine, progress: Progress, folders: Folders, num_visits: int | None) -> Outcome:
    if progress.best_score is None:
        weights = save_weights(folders.weights, engine)
        return Outcome(progress.step, progress.step, "last", None, weights, num_visits, progress.snapshots)

    def keep_best() -> None:
        try:
            with whole_file(folders.weights) as temporary:
                shutil.copyfile(checkpoint.best_path(folders.checkpoints, progress.best_step), temporary)
        except OSError as error:
            raise cannot_write(folders.weights, error) from None

    dist.on_first_rank(keep_best)
    best = progress.best_step, "best_dev", progress.best_score, progress.best_weights
    return Outcome(progress.step, *best, num_visits, progress.snapshots)
