"""The micro-batches of a step for one rank: plan -> features -> packed rows, one step ahead of the trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from xstilts.config.training import Training
from xstilts.core.errors import UserError
from xstilts.data.batch import PackedBatch, collate
from xstilts.data.packing import divide, pack, spread
from xstilts.data.plan import BatchPlan, Draw
from xstilts.data.store import FeatureSet
from xstilts.kinds import Kind
from xstilts.kinds.feature import Feature
from xstilts.kinds.head_input import Collation, Item
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


@dataclass(frozen=True, slots=True)
class PackingUnit:
    """What goes into one micro-batch: an example that was drawn, or one window of it."""

    draw: Draw
    num_tokens: int
    window: int | None = None
    """Which window of a long context; None for the whole example."""


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

    def cut(self, step: int) -> list[list[PackingUnit]]:
        """The step's draws, cut into micro-batches from lengths alone."""
        units = self._units(self.plan.step(step))
        lengths = [unit.num_tokens for unit in units]
        if self.micro_batches_per_step is None:
            bins = pack(lengths, self.token_budget)
        else:
            bins = spread(lengths, self.token_budget, self.micro_batches_per_step)
        return [[units[i] for i in members] for members in bins]

    def load(self, step: int, rank: int, world_size: int) -> list[MicroBatch]:
        """This rank's micro-batches; every rank gets the same number, filled up with empty ones."""
        cut = self.cut(step)
        mine = divide([sum(unit.num_tokens for unit in units) for units in cut], world_size)[rank]
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

    def _units(self, draws: list[Draw]) -> list[PackingUnit]:
        """An example whole, but for a long context each window by itself: its loss is a sum over windows, while options
        are compared with each other and a sentence's words may share a segment."""
        units = []
        for task, drawn in _by_task(draws).items():
            rows = [draw.example for draw in drawn]
            if self.kinds[task].windowed:
                for draw, lengths in zip(drawn, self.features[task].segment_lengths(rows), strict=True):
                    units += [PackingUnit(draw, length, window) for window, length in enumerate(lengths)]
            else:
                num_tokens = self.features[task].num_tokens[rows]
                units += [PackingUnit(draw, int(n)) for draw, n in zip(drawn, num_tokens, strict=True)]
        return units

    def _pack(self, index: int, units: list[PackingUnit]) -> MicroBatch:
        items, visits = [], []
        for task, drawn in _by_task([unit.draw for unit in units]).items():
            rows = sorted({draw.example for draw in drawn})
            features = dict(zip(rows, self.features[task].load(rows), strict=True))
            items += [self._item(unit, features[unit.draw.example]) for unit in units if unit.draw.task == task]
            visits += [draw.turn // self.plan.sizes[task] for draw in drawn]
        batch = collate(items, self.kinds, Collation(self.tokenizer, self.training.mlm_probability))
        return MicroBatch(index, batch, tuple((item.task, item.feature.id) for item in items), tuple(visits))

    def _item(self, unit: PackingUnit, feature: Feature) -> Item:
        task = unit.draw.task
        weight = self.plan.mixing.loss_weights.get(task, 1.0) / self.plan.batch_size
        named = (self.plan.seed, "masking", task, unit.draw.turn)
        if unit.window is not None:
            window = self.kinds[task].window(feature, unit.window)
            return Item(task, window, weight / feature.num_targets, named)
        return Item(task, feature, weight, named)


def check_budget(features: Mapping[str, FeatureSet], kinds: Mapping[str, Kind[Any]], token_budget: int) -> None:
    """An error where something that stays together is longer than a micro-batch may be."""
    for name, stored in features.items():
        longest = stored.longest_segment if kinds[name].windowed else int(stored.num_tokens.max())
        if longest > token_budget:
            problem = f"task '{name}' has an example of {longest} tokens that stays together"
            raise UserError(f"runtime.tokens_per_micro_batch is {token_budget}, but {problem}; raise it")


def _by_task(draws: list[Draw]) -> dict[str, list[Draw]]:
    grouped: dict[str, list[Draw]] = {}
    for draw in draws:
        grouped.setdefault(draw.task, []).append(draw)
    return grouped
