"""The micro-batches of a step for one rank: plan -> features -> packed rows, one step ahead of the trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from xstilts.config.training import Training
from xstilts.data.batch import Item, PackedBatch, collate
from xstilts.data.keyed import derive_seed
from xstilts.data.packing import divide, pack
from xstilts.data.plan import BatchPlan, Draw
from xstilts.data.store import FeatureSet
from xstilts.data.tokenizer import Tokenizer
from xstilts.errors import UserError
from xstilts.tasks import Kind


@dataclass(frozen=True)
class MicroBatch:
    """A packed row with its place in the step."""

    index: int
    """Place in the step's cut, the same on any number of ranks: seeds dropout."""
    batch: PackedBatch
    example_ids: tuple[tuple[str, str], ...]
    """(task, id) of its examples; empty for a filler."""


@dataclass(frozen=True)
class StepLoader:
    """Turns steps into micro-batches; a pure function of the step apart from reading ahead."""

    plan: BatchPlan
    features: Mapping[str, FeatureSet]
    kinds: Mapping[str, Kind]
    tokenizer: Tokenizer
    training: Training
    token_budget: int

    def __post_init__(self) -> None:
        for name, features in self.features.items():
            longest = int(features.num_tokens.max())
            if longest > self.token_budget:
                raise UserError(
                    f"runtime.tokens_per_micro_batch is {self.token_budget} but task '{name}' has an example of {longest} tokens "
                    "(windows and options stay together); raise it"
                )

    def cut(self, step: int) -> list[list[Draw]]:
        """The step's draws, cut into micro-batches from lengths alone."""
        draws = self.plan.step(step)
        bins = pack([int(self.features[d.task].num_tokens[d.example]) for d in draws], self.token_budget)
        return [[draws[i] for i in members] for members in bins]

    def load(self, step: int, rank: int, world_size: int) -> list[MicroBatch]:
        """This rank's micro-batches; every rank gets the same number, filled up with empty ones."""
        cut = self.cut(step)
        costs = [sum(int(self.features[d.task].num_tokens[d.example]) for d in draws) for draws in cut]
        mine = divide(costs, world_size)[rank]
        num_forwards = -(-len(cut) // world_size)
        loaded = [self._pack(index, cut[index]) for index in mine]
        filler = [MicroBatch(-1, collate([], self.kinds, self.tokenizer), ()) for _ in range(num_forwards - len(loaded))]
        return loaded + filler

    def iterate(self, first: int, last: int, rank: int, world_size: int) -> Iterator[list[MicroBatch]]:
        """`load` for the steps [first, last), the next one prepared while the current one trains."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead: Future[list[MicroBatch]] | None = None
            for step in range(first, last):
                current = ahead.result() if ahead else self.load(step, rank, world_size)
                ahead = pool.submit(self.load, step + 1, rank, world_size) if step + 1 < last else None
                yield current

    def _pack(self, index: int, draws: list[Draw]) -> MicroBatch:
        by_task: dict[str, list[Draw]] = {}
        for draw in draws:
            by_task.setdefault(draw.task, []).append(draw)
        items = []
        for task, drawn in by_task.items():
            weight = self.plan.mixing.loss_weights.get(task, 1.0) / self.plan.batch_size
            for draw, feature in zip(drawn, self.features[task].load([d.example for d in drawn]), strict=True):
                masking = None
                if self.kinds[task] is Kind.MLM:
                    masking = np.random.default_rng(derive_seed(self.plan.seed, "masking", task, draw.turn))
                items.append(Item(task, feature, weight, masking))
        batch = collate(items, self.kinds, self.tokenizer, self.training.mlm_probability)
        return MicroBatch(index, batch, tuple((item.task, item.feature.id) for item in items))
