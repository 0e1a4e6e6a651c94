"""One step of a stage: backward through its micro-batches, an exchange between ranks, the update if it is sound."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch

from xstilts.core.errors import UserError
from xstilts.core.out_of_memory import out_of_memory_at, smaller_batches
from xstilts.core.seeds import derive_seed
from xstilts.data.loader import MicroBatch
from xstilts.distributed import dist
from xstilts.measures.visits import VisitRecorder
from xstilts.model.flops import training_flops
from xstilts.model.shape import Shape
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.engine import Engine
from xstilts.training.flops import peak_flops
from xstilts.training.job import Job
from xstilts.training.monitors.health import name_suspects
from xstilts.training.monitors.monitors import Monitors
from xstilts.training.monitors.stragglers import StepClock, find_straggler, scalars
from xstilts.training.monitors.tracking import Fault, StepReport
from xstilts.training.optimizer import learning_rate
from xstilts.training.superseded import Superseded
from xstilts.training.visits import record_step

_STEPS_LOOKED_AHEAD = 1000
"""In which the largest micro-batch is looked for; cutting one takes less than a millisecond."""
_SHARED_STATE = "set runtime.deepspeed to a higher ZeRO stage, or to one that offloads to the host"


@dataclass(frozen=True)
class _Totals:
    """A step summed over ranks: the same on every rank, so that all decide alike."""

    parts: tuple[float, ...]
    """What each task adds to the step's loss; behind the tasks, the overlap of adapters where it counts."""
    num_tokens: int
    flops: float
    num_bad: int
    """Micro-batches whose loss is not finite."""
    num_asked: int
    """Ranks that were asked to save and end."""
    num_lost: int
    """Ranks that know that another launch has taken the stage over."""
    num_unsaved: int
    """Ranks on which a checkpoint that was written aside has failed."""

    @property
    def loss(self) -> float:
        return sum(self.parts)


class Stepper:
    """Takes a stage's steps in order; every method is a collective."""

    def __init__(
        self,
        engine: Engine,
        job: Job,
        saver: Saver,
        monitors: Monitors,
        *,
        first: int,
        visits: VisitRecorder | None = None,
    ) -> None:
        """Starts with step number `first`, from 0; `visits` gets what each item's loss was."""
        self._engine = engine
        self._job = job
        self._saver = saver
        self._monitors = monitors
        self._visits = visits
        self._first = first
        self._host = socket.gethostname()
        self._place = f"rank {dist.rank()} on {self._host}"
        self._shape = Shape.of(engine.model.encoder.config)
        self._clock = StepClock(dist.rank(), self._host, monitors.collectives)
        self._batches: Iterator[list[MicroBatch]] = job.loader.iterate(
            first, job.num_steps, dist.rank(), dist.world_size(), engine.finish
        )

    def take(self, step: int) -> bool:
        """Takes the next step, whose number is `step`; returns whether all ranks are to save and end.

        Where loss or gradient is not finite, weights and moments stay as they are.

        Raises:
            UserError: such a step, and the policy is to stop; on every rank. Out of memory; on the ranks concerned.
            DiskFullError, StorageError: a checkpoint that was written aside has failed; on every rank.
            Superseded: another launch has taken the stage over; on every rank.
        """
        lr = learning_rate(step, self._job.num_steps, self._job.training)
        with self._clock.step():
            with self._clock.data():
                micro_batches = next(self._batches)
            parts, of_targets = self._backward(step, micro_batches)
            if self._visits is not None:
                record_step(self._visits, step, micro_batches, of_targets)
            suspects = [m for m, part in zip(micro_batches, parts, strict=True) if not all(map(math.isfinite, part))]
            with self._clock.exchange():
                totals = self._sum_over_ranks(micro_batches, parts, num_bad=len(suspects))
            if totals.num_lost:
                raise Superseded
            if totals.num_unsaved:
                self._saver.wait()
            fault = self._update(totals, lr)
        if step == self._first and self._engine.device.type != "cpu":
            self.try_largest(step + 1)
        self._monitors.tracker.step(self._report(step, totals, lr, fault))
        self._judge(step + 1, totals.loss, fault, suspects if fault == "loss" else micro_batches)
        return totals.num_asked > 0

    def compare_ranks(self, step: int, percent: float) -> None:
        """Records where the ranks' time went since the last comparison, and names the rank that the others wait for
        if it works more than `percent` longer than they."""
        times, tracker = dist.gather(self._clock.report()), self._monitors.tracker
        tracker.record({"step": step, "ranks": [asdict(time) for time in times]})
        tracker.scalars(step, scalars(times))
        straggler = find_straggler(times, percent)
        if straggler:
            tracker.say(f"step {step}: {straggler}")

    def try_largest(self, first: int) -> None:
        """Runs the largest micro-batch of the steps from number `first` on, on every rank, and forgets what it gives: a
        lack of memory shows now and not hours later. After a step, since the optimizer's state is there then; not on a
        CPU, whose system has no error for it.

        Raises:
            UserError: out of memory.
        """
        last = min(first + _STEPS_LOOKED_AHEAD, self._job.num_steps)
        if first < last:
            largest = self._job.loader.load_largest(first, last)
            self._add_gradient(largest, seed=0)
            self._engine.drop_gradients()

    def _add_gradient(self, micro: MicroBatch, seed: int) -> torch.Tensor:
        """As `Engine.backward`, a lack of memory being named."""
        lengths = micro.batch.lengths_S
        what = f"{self._job.name}, micro-batch of {sum(lengths):,} tokens in {len(lengths):,} segments, {self._place}"
        with out_of_memory_at(what, smaller_batches(sum(lengths), training=True)):
            return self._engine.backward(micro.batch, seed)

    def _backward(self, step: int, micro_batches: list[MicroBatch]) -> tuple[list[list[float]], list[np.ndarray]]:
        """Each micro-batch's parts of the loss by task, and the loss of each of its targets, head by head."""
        seeds = [derive_seed(self._job.seed, "dropout", step, micro.index) for micro in micro_batches]
        losses = [self._add_gradient(m, seed) for m, seed in zip(micro_batches, seeds, strict=True)]
        sizes = [len(of_one) for of_one in losses]
        found = torch.cat(losses).cpu().numpy()  # once: reading waits for the device
        each = np.split(found, np.cumsum(sizes)[:-1])
        num_parts = self._engine.model.num_parts
        return [of_one[:num_parts].tolist() for of_one in each], [of_one[num_parts:] for of_one in each]

    def _sum_over_ranks(self, micro_batches: list[MicroBatch], parts: list[list[float]], num_bad: int) -> _Totals:
        """The one exchange beside DeepSpeed's."""
        mine = [sum(of_task) for of_task in zip(*parts, strict=True)]
        lengths = [n for micro in micro_batches if micro.ids for n in micro.batch.lengths_S]
        flops = training_flops(self._shape, lengths, self._engine.depth)
        self._clock.load(flops)
        counts = [num_bad, self._monitors.preemption.requested, self._job.is_lost(), self._saver.failed]
        *all_parts, num_tokens, all_flops, all_bad, num_asked, num_lost, num_unsaved = dist.sum_over_ranks(
            [*mine, sum(lengths), flops, *counts]
        )
        totals = map(int, (all_bad, num_asked, num_lost, num_unsaved))
        return _Totals(tuple(all_parts), int(num_tokens), all_flops, *totals)

    def _update(self, totals: _Totals, lr: float) -> Fault | None:
        """The update, or why it was not made."""
        if totals.num_bad:
            self._engine.drop_gradients()
            return "loss"
        with out_of_memory_at(f"{self._job.name}, optimizer's step, {self._place}", _SHARED_STATE):
            taken = self._engine.step(lr)
        if taken:
            return None
        return "overflow" if self._engine.searches_loss_scale else "gradient"

    def _report(self, step: int, totals: _Totals, lr: float, fault: Fault | None) -> StepReport:
        plan, kinds = self._job.loader.plan, self._job.loader.kinds
        seconds, peak = self._clock.seconds, peak_flops()
        drawn = plan.drawn(step)
        weight = {task: plan.mixing.loss_weights.get(task, 1.0) * n / plan.batch_size for task, n in drawn.items()}
        return StepReport(
            step + 1,
            self._job.num_steps,
            loss=totals.loss,
            task_losses={t: part / weight[t] for t, part in zip(kinds, totals.parts, strict=False) if weight[t]},
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
        health, tracker = self._monitors.health, self._monitors.tracker
        problem = None
        if fault is None:
            problem = health.passed(step, loss)
        elif fault == "overflow":
            problem = health.overflowed(step)
        if problem:
            tracker.say(problem)
        if fault in ("loss", "gradient"):
            named = name_suspects(self._host, suspects)
            problem = health.skipped(step, fault, named)
            tracker.say(problem, suspects=[asdict(suspect) for suspect in named])
        tracker.scalars(step, health.counts())
        if health.stop_reason:
            raise UserError(f"{problem}; {health.stop_reason}")
