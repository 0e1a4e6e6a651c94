"""The micro-batches of a step for one rank: plan -> features -> packed rows, one step ahead of the trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cached_property

from xstilts.core.seeds import derive_seed
from xstilts.data.batch import PackedBatch, collate
from xstilts.data.packing import divide
from xstilts.data.steps import PackingUnits, StepCut
from xstilts.kinds.features import flattened
from xstilts.kinds.head_input import Collation, TaskItems


@dataclass(frozen=True)
class MicroBatch:
    """A packed row with its place in the step."""

    index: int
    """Place in the step's cut, the same on any number of ranks: seeds dropout."""
    batch: PackedBatch
    ids: Mapping[str, list[str]]
    """Task -> id of each of its units in it; empty for a filler."""
    visits: Mapping[str, list[int]]
    """Task -> how often the stage drew the example of each of its units before: its epoch of the task."""


@dataclass(frozen=True)
class StepLoader(StepCut):
    """Turns steps into micro-batches; a pure function of the step apart from reading ahead."""

    @classmethod
    def of(cls, steps: StepCut) -> StepLoader:
        """The micro-batches of steps that are cut like this."""
        return cls(**{field.name: getattr(steps, field.name) for field in fields(StepCut)})

    def load(self, step: int, rank: int, world_size: int) -> list[MicroBatch]:
        """This rank's micro-batches; every rank gets the same number, filled up with empty ones."""
        cut = self.cut(step)
        mine: Sequence[int] = range(len(cut))
        if world_size > 1:
            mine = divide([_count_tokens(groups) for groups in cut], world_size)[rank]
        num_forwards = -(-len(cut) // world_size)
        loaded = [self._pack(index, cut[index]) for index in mine]
        empty = (collate([], self.kinds, Collation(self.tokenizer)) for _ in range(num_forwards - len(loaded)))
        return loaded + [MicroBatch(-1, batch, {}, {}) for batch in empty]

    def load_largest(self, first: int, last: int) -> MicroBatch:
        """The micro-batch of most tokens in the steps [first, last)."""
        cuts = ((index, groups) for step in range(first, last) for index, groups in enumerate(self.cut(step)))
        return self._pack(*max(cuts, key=lambda cut: _count_tokens(cut[1])))

    def iterate(
        self,
        first: int,
        last: int,
        rank: int,
        world_size: int,
        finish: Callable[[PackedBatch], PackedBatch] = lambda batch: batch,
    ) -> Iterator[list[MicroBatch]]:
        """`load` for the steps [first, last), each batch finished by `finish`; the next step is prepared while the
        current one trains."""

        def load(step: int) -> list[MicroBatch]:
            return [replace(micro, batch=finish(micro.batch)) for micro in self.load(step, rank, world_size)]

        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead: Future[list[MicroBatch]] | None = None
            for step in range(first, last):
                current = ahead.result() if ahead else load(step)
                ahead = pool.submit(load, step + 1) if step + 1 < last else None
                yield current

    @cached_property
    def _seeds(self) -> dict[str, int]:
        return {task: derive_seed(self.plan.seed, "masking", task) for task in self.kinds}

    def _pack(self, index: int, groups: list[PackingUnits]) -> MicroBatch:
        features = flattened([self.read(units) if units.features is None else units.features for units in groups])
        items = [
            TaskItems(units.task, own, units.weights, units.turns, self._seeds[units.task])
            for units, own in zip(groups, features, strict=True)
        ]
        batch = collate(items, self.kinds, Collation(self.tokenizer, self.training.mlm_probability))
        ids = {each.task: each.features.ids for each in items}
        visits = {units.task: (units.turns // self.plan.sizes[units.task]).tolist() for units in groups}
        return MicroBatch(index, batch, ids, visits)


def _count_tokens(groups: list[PackingUnits]) -> int:
    return sum(int(units.num_tokens.sum()) for units in groups)
