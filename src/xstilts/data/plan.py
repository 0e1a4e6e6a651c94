"""BatchPlan: the global batch of any step as a pure function of (seed, step)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from xstilts.config.training import Mixing
from xstilts.core.seeds import derive_seed, permute
from xstilts.data.mixing import quotas, shares


@dataclass(frozen=True, slots=True)
class Draw:
    """One example of one step."""

    task: str
    example: int
    """Row of the task's features."""
    turn: int
    """Which draw of this task it is, from 0 over the whole stage: names its masking randomness."""


@dataclass(frozen=True)
class BatchPlan:
    """What is drawn when. Holds sizes, not data; knows nothing of ranks, tokens or devices."""

    seed: int
    sizes: Mapping[str, int]
    """Task -> number of training examples, in the stage's order."""
    mixing: Mixing
    batch_size: int

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        return tuple(self.sizes)

    @cached_property
    def shares(self) -> dict[str, Fraction]:
        """Task -> exact share of the draws."""
        return shares(self.sizes, self.mixing)

    def taken(self, step: int) -> dict[str, int]:
        """Task -> examples drawn before `step` (steps count from 0); O(tasks)."""
        share = list(self.shares.values())
        if self.mixing.by == "example":
            counts = quotas(step * self.batch_size, share)
        else:
            counts = [n * self.batch_size for n in quotas(step, share)]
        return dict(zip(self.tasks, counts, strict=True))

    def drawn(self, step: int) -> dict[str, int]:
        """Task -> examples in a step."""
        before, after = self.taken(step), self.taken(step + 1)
        return {task: after[task] - before[task] for task in self.tasks}

    def step(self, step: int) -> list[Draw]:
        """The `batch_size` draws of a step, grouped by task in the stage's order."""
        before, after = self.taken(step), self.taken(step + 1)
        draws = []
        for task in self.tasks:
            turns = np.arange(before[task], after[task], dtype=np.int64)
            for turn, row in zip(turns, self._rows(task, turns), strict=True):
                draws.append(Draw(task, int(row), int(turn)))
        assert len(draws) == self.batch_size
        return draws

    def _rows(self, task: str, turns: np.ndarray) -> np.ndarray:
        """Every epoch of a task visits each example once, in an order of its own."""
        size = self.sizes[task]
        epochs, positions = np.divmod(turns, size)
        rows = np.empty_like(turns)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            rows[here] = permute(positions[here], size, derive_seed(self.seed, task, int(epoch)))
        return rows

    def fingerprint(self, num_steps: int) -> str:
        """Hash of the first and last step, equal on every rank and on resuming, or the data is not the same."""
        digest = hashlib.sha256(repr((self.seed, dict(self.sizes), self.mixing.model_dump(), self.batch_size)).encode())
        for step in {0, num_steps - 1}:
            digest.update(repr([(draw.task, draw.example) for draw in self.step(step)]).encode())
        return digest.hexdigest()[:16]
