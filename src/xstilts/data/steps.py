"""The steps of a stage, cut into micro-batches from lengths alone: what plans and the ranks' loaders agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xstilts.config.training import Training
from xstilts.core.errors import UserError
from xstilts.data.packing import pack, spread
from xstilts.data.plan import BatchPlan, Draws
from xstilts.data.store import FeatureSet
from xstilts.kinds import Kind
from xstilts.text.tokenizer import Tokenizer


@dataclass(eq=False, slots=True)
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
        units = [self._units(draws) for draws in self.plan.step(step)]
        lengths = np.concatenate([each.num_tokens for each in units])
        if self.micro_batches_per_step is None:
            bins = pack(lengths, self.token_budget)
        else:
            bins = spread(lengths, self.token_budget, self.micro_batches_per_step)
        firsts = np.cumsum([0, *map(len, units)])
        return [_within(units, firsts, np.array(members)) for members in bins]

    def idle_share(self, step: int, world_size: int) -> float:
        """Share of the ranks' forwards in a step that are fillers, because the step has too few micro-batches."""
        num_forwards = -(-len(self.cut(step)) // world_size) * world_size
        return 1 - len(self.cut(step)) / num_forwards

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
