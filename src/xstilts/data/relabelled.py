"""Training features whose targets are shuffled or random: a view of the stored ones, computed on reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.compute as pc

from xstilts.core.seeds import derive_seed, permute
from xstilts.data.store import FeatureSet
from xstilts.kinds import Kind
from xstilts.kinds.feature import Feature
from xstilts.kinds.relabelling import Relabelling


@dataclass(frozen=True)
class RelabelledSet(FeatureSet):
    """Targets are a pure function of (key, row): the same in every epoch, on every rank and after resuming."""

    kind: Kind[Any]
    how: Relabelling
    key: int

    def load(self, indices: Sequence[int]) -> list[Feature]:
        """The features of these rows, in this order, their targets replaced as their kind does it."""
        features = super().load(indices)
        for row, feature, donated in zip(indices, features, self._donated(indices), strict=True):
            generator = np.random.default_rng(derive_seed(self.key, int(row)))
            feature.targets = self.kind.relabel(feature, donated, self.how, generator)
        return features

    def _donated(self, indices: Sequence[int]) -> list[list[int]]:
        """The targets of the row that each row gets another's from. Donors are a permutation of the rows that maps
        those with equally many positions onto each other: an option's index exists where it goes."""
        if not len(indices):
            return []
        counts, order, place = self._groups
        rows = np.asarray(indices, dtype=np.int64)
        donors = np.empty_like(rows)
        for count in np.unique(counts[rows]):
            first, last = np.searchsorted(counts[order], (count, count + 1))
            here = counts[rows] == count
            images = permute(place[rows[here]] - first, int(last - first), derive_seed(self.key, "donors", int(count)))
            donors[here] = order[first + images]
        return list(self.rows.select_columns("targets")[donors.tolist()]["targets"])

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of each row, the rows in the order of these numbers, and the place of each row in that order."""
        positions = self.rows.select_columns("positions").with_format("arrow")[:]["positions"]
        counts = pc.list_value_length(positions).to_numpy()
        order = np.argsort(counts, kind="stable")
        return counts, order, np.argsort(order)


def relabelled(features: FeatureSet, kind: Kind[Any], how: Relabelling, key: int) -> FeatureSet:
    """The same inputs with other targets; `key` names which."""
    fingerprint = f"{derive_seed(features.fingerprint, how.scheme, key):016x}"
    return RelabelledSet(**{**features.stored(), "fingerprint": fingerprint}, kind=kind, how=how, key=key)
