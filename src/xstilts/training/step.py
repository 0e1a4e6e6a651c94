"""One step of a stage: backward through its micro-batches, an exchange between ranks, the update if it is sound."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch

from xstilts.core.errors import UserError
from xstilts.core.seeds import derive_seed
from xstilts.data.loader import MicroBatch, StepLoader
from xstilts.distributed import dist
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.engine import Engine
from xstilts.training.flops import peak_flops, training_flops
from xstilts.training.monitors.collectives import CollectiveClock
from xstilts.training.monitors.health import Health, name_suspects
from xstilts.training.monitors.preemption import Preemption
from xstilts.training.monitors.stragglers import StepClock, find_straggler, scalars
from xstilts.training.monitors.tracking import Fault, StepReport, Tracker
from xstilts.training.optimizer import learning_rate


@dataclass(frozen=True)
class _Totals:
    """A step summed over ranks: the same on every rank, so that all decide alike."""

    parts: tuple[float, ...]
    """What each task adds to the step's loss."""
    num_tokens: int
    flops: float
    num_bad: int
    """Micro-batches whose loss is not finite."""
    num_asked: int
    """Ranks that were asked to save and end."""
    num_unsaved: int
    """Ranks on which a checkpoint that was written aside has failed."""


class Stepper:
    """Takes a stage's steps in order; every method is a collective."""

    def __init__(
        self,
        engine: Engine,
        loader: StepLoader,
        *,
        first: int,
        num_steps: int,
        seed: int,
        health: Health,
        preemption: Preemption,
        saver: Saver,
        collectives: CollectiveClock,
        tracker: Tracker,
    ) -> None:
        """Starts with step number `first`, from 0."""
        self._engine = engine
        self._loader = loader
        self._num_steps = num_steps
        self._seed = seed
        self._health = health
        self._preemption = preemption
        self._saver = saver
        self._tracker = tracker
        self._host = socket.gethostname()
        self._clock = StepClock(dist.rank(), self._host, collectives)
        self._batches: Iterator[list[MicroBatch]] = loader.iterate(first, num_steps, dist.rank(), dist.world_size())

    def take(self, step: int) -> bool:
        """Takes the next step, whose number is `step`; returns whether all ranks are to save and end.

        Where loss or gradient is not finite, weights and moments stay as they are.

        Raises:
            UserError: such a step, and the policy is to stop; on every rank.
            DiskFullError, StorageError: a checkpoint that was written aside has failed; on every rank.
        """
        engine = self._engine
        lr = learning_rate(step, self._num_steps, self._loader.training)
        fault: Fault | None = None
        with self._clock.step():
            with self._clock.data():
                micro_batches = next(self._batches)
            losses = [
                engine.backward(m.batch, derive_seed(self._seed, "dropout", step, m.index)) for m in micro_batches
            ]
            parts = torch.stack(losses).tolist()  # once: reading waits for the device
            suspects = [m for m, part in zip(micro_batches, parts, strict=True) if not all(map(math.isfinite, part))]
            with self._clock.exchange():
                totals = self._sum_over_ranks(micro_batches, parts, num_bad=len(suspects))
            if totals.num_unsaved:
                self._saver.wait()
            if totals.num_bad:
                fault = "loss"
                engine.drop_gradients()
            elif not engine.step(lr):
                fault = "overflow" if engine.searches_loss_scale else "gradient"
                suspects = micro_batches
        self._tracker.step(self._report(step, totals, lr, fault))
        self._judge(step + 1, sum(totals.parts), fault, suspects)
        return totals.num_asked > 0

    def compare_ranks(self, step: int, percent: float) -> None:
        """Records where the ranks' time went since the last comparison, and names the rank that the others wait for
        if it works more than `percent` longer than they."""
        times = dist.gather(self._clock.report())
        self._tracker.record({"step": step, "ranks": [asdict(time) for time in times]})
        self._tracker.scalars(step, scalars(times))
        straggler = find_straggler(times, percent)
        if straggler:
            self._tracker.say(f"step {step}: {straggler}")

    def _sum_over_ranks(self, micro_batches: list[MicroBatch], parts: list[list[float]], num_bad: int) -> _Totals:
        """The one exchange beside DeepSpeed's."""
        mine = [sum(of_task) for of_task in zip(*parts, strict=True)]
        lengths = [n for micro in micro_batches if micro.example_ids for n in micro.batch.lengths_S]
        flops = training_flops(self._engine.model.encoder.config, lengths)
        self._clock.load(flops)
        counts = [num_bad, self._preemption.requested, self._saver.failed]
        *all_parts, num_tokens, all_flops, all_bad, num_asked, num_unsaved = dist.sum_over_ranks(
            [*mine, sum(lengths), flops, *counts]
        )
        return _Totals(tuple(all_parts), int(num_tokens), all_flops, int(all_bad), int(num_asked), int(num_unsaved))

    def _report(self, step: int, totals: _Totals, lr: float, fault: Fault | None) -> StepReport:
        plan, seconds, peak = self._loader.plan, self._clock.seconds, peak_flops()
        drawn = plan.drawn(step)
        weight = {task: plan.mixing.loss_weights.get(task, 1.0) * n / plan.batch_size for task, n in drawn.items()}
        return StepReport(
            step + 1,
            self._num_steps,
            loss=sum(totals.parts),
            task_losses={
                t: part / weight[t] for t, part in zip(self._loader.kinds, totals.parts, strict=True) if weight[t]
            },
            task_examples=drawn,
            num_tokens=totals.num_tokens,
            seconds=seconds,
            lr=lr,
            grad_norm=math.nan if fault == "loss" else self._engine.grad_norm,
            mfu=None if peak is None else totals.flops / seconds / (peak * dist.world_size()),
            fault=fault,
        )

    def _judge(self, step: int, loss: float, fault: Fault | None, suspects: list[MicroBatch]) -> None:
        """Says and counts what is wrong with a step, and ends the run if that is the policy."""
        problem = None
        if fault is None:
            problem = self._health.passed(step, loss)
        elif fault == "overflow":
            problem = self._health.overflowed(step)
        if problem:
            self._tracker.say(problem)
        if fault in ("loss", "gradient"):
            named = name_suspects(self._host, suspects)
            problem = self._health.skipped(step, fault, named)
            self._tracker.say(problem, suspects=[asdict(suspect) for suspect in named])
        self._tracker.scalars(step, self._health.counts())
        if self._health.stop_reason:
            raise UserError(f"{problem}; {self._health.stop_reason}")
