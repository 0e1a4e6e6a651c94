"""The steps of a stage, cut into micro-batches from lengths alone: what plans and the ranks' loaders agree on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from xstilts.config.training import Training
from xstilts.core.errors import UserError
from xstilts.data.packing import pack, spread
from xstilts.data.plan import BatchPlan, Draws
from xstilts.data.store import FeatureSet
from xstilts.kinds import Kind
from xstilts.kinds.features import Features
from xstilts.text.tokenizer import Tokenizer

_BLOCK = 1024
"""Draws of consecutive steps that are looked up together: a handful costs hardly less."""


@dataclass(eq=False, slots=True)
class PackingUnits:
    """What goes into micro-batches: the examples of one task that were drawn, or each window of them by itself."""

    task: str
    rows: np.ndarray
    """int64 [N]: rows of the task's features; likewise `turns`, as in `Draws`."""
    turns: np.ndarray
    num_tokens: np.ndarray
    """int64 [N]."""
    weights: np.ndarray
    """float64 [N]: what the mean loss over each one's targets counts in the loss of the step."""
    windows: np.ndarray | None = None
    """int64 [N]: which window of a long context; None for whole examples."""
    features: Features | None = None
    """What `StepCut.read` says of them, where that is cheap."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: np.ndarray) -> PackingUnits:
        """Some of them."""
        return PackingUnits(
            self.task,
            self.rows.take(chosen),
            self.turns.take(chosen),
            self.num_tokens.take(chosen),
            self.weights.take(chosen),
            None if self.windows is None else self.windows.take(chosen),
            None if self.features is None else self.features.take(chosen),
        )


@dataclass(eq=False, slots=True)
class _Run:
    """The units of one task in consecutive steps."""

    units: PackingUnits
    firsts: list[int]
    """Of each step its first unit; behind the last step's one more."""


@dataclass(frozen=True)
class StepCut:
    """What is in each micro-batch of a step; a pure function of the step."""

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
        block, place = divmod(step, self._steps_a_block)
        spans = [(run.units, run.firsts[place], run.firsts[place + 1]) for run in self._block(block)]
        spans = [span for span in spans if span[1] < span[2]]
        lengths = np.concatenate([units.num_tokens[first:end] for units, first, end in spans])
        if self.micro_batches_per_step is None:
            bins = pack(lengths, self.token_budget)
        else:
            bins = spread(lengths, self.token_budget, self.micro_batches_per_step)
        return [_within(spans, np.array(members)) for members in bins]

    def idle_share(self, step: int, world_size: int) -> float:
        """Share of the ranks' forwards in a step that are fillers, because the step has too few micro-batches."""
        num_forwards = -(-len(self.cut(step)) // world_size) * world_size
        return 1 - len(self.cut(step)) / num_forwards

    def read(self, units: PackingUnits) -> Features:
        """The examples, or windows of them."""
        features = self.features[units.task].read(units.rows)
        return features if units.windows is None else self.kinds[units.task].windows(features, units.windows)

    @property
    def _steps_a_block(self) -> int:
        return max(1, _BLOCK // self.plan.batch_size)

    @cached_property
    def _block(self) -> Callable[[int], list[_Run]]:
        return lru_cache(maxsize=2)(self._look_up)

    def _look_up(self, block: int) -> list[_Run]:
        """The units of consecutive steps, task by task."""
        first = block * self._steps_a_block
        taken = [self.plan.taken(step) for step in range(first, first + self._steps_a_block + 1)]
        return [
            self._run(draws, np.array([each[draws.task] for each in taken]) - taken[0][draws.task])
            for draws in self.plan.draws(taken[0], taken[-1])
        ]

    def _run(self, draws: Draws, firsts: np.ndarray) -> _Run:
        """An example whole, but for a long context each window by itself: its loss is a sum over windows, while options
        are compared with each other and a sentence's words may share a segment. `firsts`: of each step its first draw,
        and one more."""
        features, rows, turns = self.features[draws.task], draws.rows, draws.turns
        weight = self.plan.mixing.loss_weights.get(draws.task, 1.0) / self.plan.batch_size
        if self.kinds[draws.task].windowed:
            lengths = features.segment_lengths(rows)
            example = lengths.of_run()
            windows = np.arange(len(example)) - lengths.offsets[example]
            weights = (weight / lengths.sizes)[example]
            units = PackingUnits(draws.task, rows[example], turns[example], lengths.flat(), weights, windows)
            firsts = example.searchsorted(firsts)
        else:
            num_tokens = features.num_tokens[rows].astype(np.int64)
            units = PackingUnits(draws.task, rows, turns, num_tokens, np.full(len(rows), weight))
        if features.is_cheap:
            units.features = self.read(units)
        return _Run(units, firsts.tolist())


def _within(spans: list[tuple[PackingUnits, int, int]], members: np.ndarray) -> list[PackingUnits]:
    """The units of a micro-batch, which are these `members` of all that the spans hold, one after the other."""
    ends = list(accumulate(end - first for _, first, end in spans))
    bounds = [0, *members.searchsorted(ends).tolist()]
    return [
        units.take(members[start:stop] + (last - end))
        for (units, _, last), end, start, stop in zip(spans, ends, bounds, bounds[1:], strict=False)
        if start < stop
    ]


def check_budget(features: Mapping[str, FeatureSet], kinds: Mapping[str, Kind[Any]], token_budget: int) -> None:
    """An error where something that stays together is longer than a micro-batch may be."""
    for name, stored in features.items():
        longest = stored.longest_segment if kinds[name].windowed else int(stored.num_tokens.max())
        if longest > token_budget:
            problem = f"task '{name}' has an example of {longest} tokens that stays together"
            raise UserError(f"runtime.tokens_per_micro_batch is {token_budget}, but {problem}; raise it")
