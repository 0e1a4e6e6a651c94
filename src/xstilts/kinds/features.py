"""Many examples as tokens, column by column: what a micro-batch is collated from.

Shape suffixes: N examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.kinds.feature import Feature


@dataclass(eq=False, slots=True)
class Ragged:
    """A run of whole numbers for each example, in memory that is not copied before it is asked for."""

    memory: np.ndarray
    """[any] what the runs lie in."""
    starts: np.ndarray
    """int64 [N]: where each run begins in it."""
    sizes: np.ndarray
    """int64 [N]: numbers of each run."""

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
        """One run after the other, int64; the caller's own."""
        places = (self.starts - self.offsets).repeat(self.sizes)
        places += np.arange(len(places))
        return self.memory.take(places).astype(np.int64)

    def lists(self) -> list[list[int]]:
        """The runs as lists."""
        ends = self.starts + self.sizes
        return [self.memory[start:end].tolist() for start, end in zip(self.starts, ends, strict=True)]

    def texts(self) -> list[str]:
        """The runs as texts, where the numbers are the bytes of these in UTF-8."""
        memory, ends = self.memory.data, self.starts + self.sizes
        return [str(memory[start:end], "utf-8") for start, end in zip(self.starts.tolist(), ends.tolist(), strict=True)]

    def take(self, rows: np.ndarray) -> Ragged:
        """Those of some examples."""
        return Ragged(self.memory, self.starts[rows], self.sizes[rows])

    def cut(self, first: np.ndarray, sizes: np.ndarray) -> Ragged:
        """Parts of the runs, `sizes` numbers from the `first` of each on."""
        return Ragged(self.memory, self.starts + first, sizes)


@dataclass(eq=False, slots=True)
class Features:
    """Examples of one task; the columns are the fields of `Feature`."""

    ids: list[str]
    tokens: Ragged
    lengths: Ragged
    positions: Ragged
    targets: Ragged
    num_targets: np.ndarray
    """int [N]."""

    @classmethod
    def of(cls, features: Sequence[Feature]) -> Features:
        """From one by one."""
        return cls(
            [feature.id for feature in features],
            Ragged.of([feature.tokens for feature in features]),
            Ragged.of([feature.lengths for feature in features]),
            Ragged.of([feature.positions for feature in features]),
            Ragged.of([feature.targets for feature in features]),
            np.array([feature.num_targets for feature in features], dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def positions_in_row(self) -> np.ndarray:
        """`positions` from the first token of the first example on, all tokens standing one after the other; int64."""
        return self.positions.flat() + self.tokens.offsets.repeat(self.positions.sizes)

    def take(self, rows: np.ndarray) -> Features:
        """Some of the examples."""
        return Features(
            [self.ids[row] for row in rows],
            self.tokens.take(rows),
            self.lengths.take(rows),
            self.positions.take(rows),
            self.targets.take(rows),
            self.num_targets[rows],
        )

    def each(self) -> list[Feature]:
        """One by one, without what is stored for scoring alone."""
        runs = (each.lists() for each in (self.tokens, self.lengths, self.positions, self.targets))
        features = [Feature(*columns) for columns in zip(self.ids, *runs, strict=True)]
        for feature, num_targets in zip(features, self.num_targets.tolist(), strict=True):
            feature.num_targets = num_targets
        return features
