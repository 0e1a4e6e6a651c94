"""The micro-batches of a step for one rank: plan -> features -> packed rows, one step ahead of the trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np

from xstilts.config.training import Training
from xstilts.core.errors import UserError
from xstilts.data.batch import PackedBatch, collate
from xstilts.data.packing import divide, pack, spread
from xstilts.data.plan import BatchPlan, Draws
from xstilts.data.store import FeatureSet
from xstilts.kinds import Kind
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class MicroBatch:
    """A packed row with its place in the step."""

    index: int
    """Place in the step's cut, the same on any number of ranks: seeds dropout."""
    batch: PackedBatch
    example_ids: tuple[tuple[str, str], ...]
    """(task, id) of each unit in it; empty for a filler."""
    visits: tuple[int, ...]
    """How often the stage drew each unit's example before: its epoch of the task."""


@dataclass(frozen=True, eq=False)
class PackingUnits:
    """What goes into micro-batches: the examples of one task that were drawn, or each window of them by itself."""

    task: str
    rows: np.ndarray
    """int64 [N]: rows of the task's features; likewise `turns`, as in `Draws`."""
    turns: np.ndarray
    num_tokens: np.ndarray
    """int64 [N]."""
    windows: np.ndarray | None = None
    """int64 [N]: which window of a long context; None for whole examples."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: np.ndarray) -> PackingUnits:
        """Some of them."""
        windows = None if self.windows is None else self.windows[chosen]
        return PackingUnits(self.task, self.rows[chosen], self.turns[chosen], self.num_tokens[chosen], windows)


@dataclass(frozen=True)
class StepLoader:
    """Turns steps into micro-batches; a pure function of the step apart from reading ahead."""

    plan: BatchPlan
    features: Mapping[str, FeatureSet]
    kinds: Mapping[str, Kind[Any]]
    tokenizer: Tokenizer
    training: Training
    token_budget: int
    micro_batches_per_step: int | None = None
    """`runtime.micro_batches_per_step`."""

    def cut(self, step: int) -> list[list[PackingUnits]]:
        """The step's draws, cut into micro-batches from lengths alone; of each micro-batch its tasks in their order."""
        units = [self._units(draws) for draws in self.plan.step(step)]
        lengths = np.concatenate([each.num_tokens for each in units])
        if self.micro_batches_per_step is None:
            bins = pack(lengths, self.token_budget)
        else:
            bins = spread(lengths, self.token_budget, self.micro_batches_per_step)
        firsts = np.cumsum([0, *map(len, units)])
        return [_within(units, firsts, np.array(members)) for members in bins]

    def load(self, step: int, rank: int, world_size: int) -> list[MicroBatch]:
        """This rank's micro-batches; every rank gets the same number, filled up with empty ones."""
        cut = self.cut(step)
        costs = [sum(int(units.num_tokens.sum()) for units in groups) for groups in cut]
        mine = divide(costs, world_size)[rank]
        num_forwards = -(-len(cut) // world_size)
        loaded = [self._pack(index, cut[index]) for index in mine]
        empty = (collate([], self.kinds, Collation(self.tokenizer)) for _ in range(num_forwards - len(loaded)))
        return loaded + [MicroBatch(-1, batch, (), ()) for batch in empty]

    def idle_share(self, step: int, world_size: int) -> float:
        """Share of the ranks' forwards in a step that are fillers, because the step has too few micro-batches."""
        num_forwards = -(-len(self.cut(step)) // world_size) * world_size
        return 1 - len(self.cut(step)) / num_forwards

    def iterate(self, first: int, last: int, rank: int, world_size: int) -> Iterator[list[MicroBatch]]:
        """`load` for the steps [first, last), the next one prepared while the current one trains."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead: Future[list[MicroBatch]] | None = None
            for step in range(first, last):
                current = ahead.result() if ahead else self.load(step, rank, world_size)
                ahead = pool.submit(self.load, step + 1, rank, world_size) if step + 1 < last else None
                yield current

    def _units(self, draws: Draws) -> PackingUnits:
        """An example whole, but for a long context each window by itself: its loss is a sum over windows, while options
        are compared with each other and a sentence's words may share a segment."""
        features = self.features[draws.task]
        if not self.kinds[draws.task].windowed:
            num_tokens = features.num_tokens[draws.rows].astype(np.int64)
            return PackingUnits(draws.task, draws.rows, draws.turns, num_tokens)
        lengths = features.segment_lengths(draws.rows)
        example = np.repeat(np.arange(len(draws.rows)), lengths.sizes)
        windows = np.arange(len(example)) - lengths.offsets[example]
        return PackingUnits(draws.task, draws.rows[example], draws.turns[example], lengths.flat(), windows)

    def _pack(self, index: int, groups: list[PackingUnits]) -> MicroBatch:
        items = [self._items(units) for units in groups]
        batch = collate(items, self.kinds, Collation(self.tokenizer, self.training.mlm_probability))
        ids = (zip(repeat(each.task), each.features.ids, strict=False) for each in items)
        visits = ((units.turns // self.plan.sizes[units.task]).tolist() for units in groups)
        return MicroBatch(index, batch, tuple(chain.from_iterable(ids)), tuple(chain.from_iterable(visits)))

    def _items(self, units: PackingUnits) -> TaskItems:
        task = units.task
        features = self.features[task].read(units.rows)
        weights = np.full(len(units), self.plan.mixing.loss_weights.get(task, 1.0) / self.plan.batch_size)
        if units.windows is not None:
            weights = weights / features.num_targets
            features = self.kinds[task].windows(features, units.windows)
        return TaskItems(task, features, weights, units.turns, (self.plan.seed, "masking", task))


def _within(units: list[PackingUnits], firsts: np.ndarray, members: np.ndarray) -> list[PackingUnits]:
    """The units of a micro-batch, which are these `members` of all; each task's begin with the number in `firsts`."""
    bounds = np.searchsorted(members, firsts).tolist()
    spans = zip(units, firsts.tolist(), bounds, bounds[1:], strict=False)
    return [each.take(members[start:end] - first) for each, first, start, end in spans if start < end]


def check_budget(features: Mapping[str, FeatureSet], kinds: Mapping[str, Kind[Any]], token_budget: int) -> None:
    """An error where something that stays together is longer than a micro-batch may be."""
    for name, stored in features.items():
        longest = stored.longest_segment if kinds[name].windowed else int(stored.num_tokens.max())
        if longest > token_budget:
            problem = f"task '{name}' has an example of {longest} tokens that stays together"
            raise UserError(f"runtime.tokens_per_micro_batch is {token_budget}, but {problem}; raise it")
