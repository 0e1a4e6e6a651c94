"""BatchPlan: the global batch of any step as a pure function of (seed, step)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np

from xstilts.config.training import Mixing
from xstilts.core.seeds import derive_seed, permute
from xstilts.data.mixing import quotas, shares

_BLOCK = 4096
"""Places of an epoch that are looked up together: a permutation costs hardly more for as many as for one."""


@dataclass(eq=False, slots=True)
class Draws:
    """The examples of one task in one step."""

    task: str
    rows: np.ndarray
    """int64: rows of the task's features."""
    turns: np.ndarray
    """int64: which draw of this task each is, from 0 over the whole stage; names its masking randomness."""


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

    def step(self, step: int) -> list[Draws]:
        """The `batch_size` draws of a step, task by task in the stage's order; of a task that has none, nothing."""
        return self.draws(self.taken(step), self.taken(step + 1))

    def draws(self, before: Mapping[str, int], after: Mapping[str, int]) -> list[Draws]:
        """The draws of a run of steps, which begins when so many of each task have been `taken` and ends after these.
        Ordered as those of a step."""
        turns = {task: np.arange(before[task], after[task], dtype=np.int64) for task in self.tasks}
        assert sum(map(len, turns.values())) % self.batch_size == 0
        return [Draws(task, self._rows(task, each), each) for task, each in turns.items() if len(each)]

    def _rows(self, task: str, turns: np.ndarray) -> np.ndarray:
        """Every epoch of a task visits each example once, in an order of its own."""
        size = self.sizes[task]
        turn, end = int(turns[0]), int(turns[-1]) + 1
        found = []
        while turn < end:
            epoch, position = divmod(turn, size)
            block, first = divmod(position, _BLOCK)
            found.append(_order(derive_seed(self.seed, task, epoch), size, block)[first : first + end - turn])
            turn += len(found[-1])
        return np.concatenate(found)

    def fingerprint(self, num_steps: int) -> str:
        """Hash of the first and last step, equal on every rank and on resuming, or the data is not the same."""
        digest = hashlib.sha256(repr((self.seed, dict(self.sizes), self.mixing.model_dump(), self.batch_size)).encode())
        for step in {0, num_steps - 1}:
            drawn = [(draws.task, row) for draws in self.step(step) for row in draws.rows.tolist()]
            digest.update(repr(drawn).encode())
        return digest.hexdigest()[:16]


@lru_cache(maxsize=64)
def _order(key: int, size: int, block: int) -> np.ndarray:
    """A block of the rows of an epoch, in the order that `key` names; int64, shared."""
    rows = permute(np.arange(block * _BLOCK, min((block + 1) * _BLOCK, size)), size, key)
    rows.flags.writeable = False
    return rows
