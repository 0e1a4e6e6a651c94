"""Many examples as tokens, column by column: what a micro-batch is collated from.

Shape suffixes: N examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.kinds.feature import Feature

COLUMNS = ("tokens", "lengths", "positions", "targets")
"""Fields of a feature that are runs of numbers, in their order in `Features`."""


@dataclass(eq=False, slots=True)
class Ragged:
    """A run of whole numbers for each example, in memory that is not copied before it is asked for."""

    memory: np.ndarray
    """[any] what the runs lie in."""
    starts: np.ndarray
    """int64 [N]: where each run begins in it."""
    sizes: np.ndarray
    """int64 [N]: numbers of each run."""
    is_flat: bool = False
    """Whether the runs lie one after the other, int64: `flat` copies nothing."""

    @classmethod
    def of(cls, runs: Sequence[Sequence[int]]) -> Ragged:
        """From lists."""
        sizes = np.array([len(run) for run in runs], dtype=np.int64)
        memory = np.array([number for run in runs for number in run], dtype=np.int64)
        return cls(memory, sizes.cumsum() - sizes, sizes)

    @property
    def offsets(self) -> np.ndarray:
        """int64 [N]: where each run begins in `flat`."""
        offsets = self.sizes.cumsum()
        offsets -= self.sizes
        return offsets

    def of_run(self) -> np.ndarray:
        """int64: the number of the run that each number of `flat` is of."""
        return np.arange(len(self.sizes)).repeat(self.sizes)

    def flat(self) -> np.ndarray:
        """One run after the other, int64; the caller's own unless it `is_flat`."""
        if self.is_flat:
            return self.memory[self.starts[0] : self.starts[-1] + self.sizes[-1]]
        return self._gathered().astype(np.int64, copy=False)

    def _gathered(self) -> np.ndarray:
        places = (self.starts - self.offsets).repeat(self.sizes)
        places += np.arange(len(places))
        return self.memory.take(places)

    def lists(self) -> list[list[int]]:
        """The runs as lists."""
        ends = self.starts + self.sizes
        return [self.memory[start:end].tolist() for start, end in zip(self.starts, ends, strict=True)]

    def texts(self) -> list[str]:
        """The runs as texts, where the numbers are the bytes of these in UTF-8."""
        import pyarrow as pa

        offsets = np.zeros(len(self.sizes) + 1, dtype=np.int64)
        self.sizes.cumsum(out=offsets[1:])
        buffers = pa.py_buffer(offsets), pa.py_buffer(self._gathered())
        texts: list[str] = pa.LargeStringArray.from_buffers(len(self.sizes), *buffers).to_pylist()
        return texts


@dataclass(eq=False, slots=True)
class Features:
    """Examples of one task; their columns are the fields of `Feature`, all of whose numbers lie in one memory."""

    ids: list[str]
    memory: np.ndarray
    starts: np.ndarray
    """int64 [4, N]: where the tokens, lengths, positions and targets of each example begin in it."""
    sizes: np.ndarray
    """int64 [4, N]: numbers of each of these runs."""
    num_targets: np.ndarray
    """int [N]."""
    is_flat: bool = False
    """Whether each column's runs lie one after the other."""

    @classmethod
    def of(cls, features: Sequence[Feature]) -> Features:
        """From one by one."""
        columns = [[getattr(feature, name) for feature in features] for name in COLUMNS]
        runs = Ragged.of([run for column in columns for run in column])
        return cls(
            [feature.id for feature in features],
            runs.memory,
            runs.starts.reshape(len(COLUMNS), -1),
            runs.sizes.reshape(len(COLUMNS), -1),
            np.array([feature.num_targets for feature in features], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> Ragged:
        return Ragged(self.memory, self.starts[0], self.sizes[0], self.is_flat)

    @property
    def lengths(self) -> Ragged:
        return Ragged(self.memory, self.starts[1], self.sizes[1], self.is_flat)

    @property
    def positions(self) -> Ragged:
        return Ragged(self.memory, self.starts[2], self.sizes[2], self.is_flat)

    @property
    def targets(self) -> Ragged:
        return Ragged(self.memory, self.starts[3], self.sizes[3], self.is_flat)

    def with_targets(self, targets: Sequence[Sequence[int]]) -> Features:
        """The same with other targets."""
        (own,), others = flattened([self]), Ragged.of(targets)
        starts, sizes = own.starts.copy(), own.sizes.copy()
        starts[3], sizes[3] = others.starts + len(own.memory), others.sizes
        return Features(self.ids, np.concatenate([own.memory, others.memory]), starts, sizes, self.num_targets)

    def positions_in_row(self) -> np.ndarray:
        """`positions` from the first token of the first example on, all tokens standing one after the other; int64."""
        return self.positions.flat() + self.tokens.offsets.repeat(self.sizes[2])

    def take(self, rows: np.ndarray) -> Features:
        """Some of the examples."""
        return Features(
            [self.ids[row] for row in rows.tolist()],
            self.memory,
            self.starts.take(rows, axis=1),
            self.sizes.take(rows, axis=1),
            self.num_targets.take(rows),
        )

    def each(self) -> list[Feature]:
        """One by one, without what is stored for scoring alone."""
        runs = (each.lists() for each in (self.tokens, self.lengths, self.positions, self.targets))
        features = [Feature(*columns) for columns in zip(self.ids, *runs, strict=True)]
        for feature, num_targets in zip(features, self.num_targets.tolist(), strict=True):
            feature.num_targets = num_targets
        return features


def flattened(groups: Sequence[Features]) -> list[Features]:
    """The same, flat in a new memory that they share."""
    starts = np.concatenate([each.starts.ravel() for each in groups])
    sizes = np.concatenate([each.sizes.ravel() for each in groups])
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    sizes.cumsum(out=offsets[1:])
    places = (starts - offsets[:-1]).repeat(sizes)
    places += np.arange(len(places))
    memory = np.empty(len(places), dtype=np.int64)
    found = []
    run, first = 0, 0
    for each in groups:
        own = offsets[run : run + each.starts.size].reshape(each.starts.shape)
        run += each.starts.size
        end = offsets.item(run)
        memory[first:end] = each.memory.take(places[first:end])
        first = end
        found.append(Features(each.ids, memory, own, each.sizes, each.num_targets, is_flat=True))
    return found
