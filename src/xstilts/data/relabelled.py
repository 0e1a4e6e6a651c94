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
from xstilts.kinds.features import Features
from xstilts.kinds.relabelling import Relabelling


@dataclass(frozen=True)
class RelabelledSet(FeatureSet):
    """Targets are a pure function of (key, row): the same in every epoch, on every rank and after resuming."""

    kind: Kind[Any]
    how: Relabelling
    key: int

    is_cheap = False

    def read(self, indices: Sequence[int] | np.ndarray) -> Features:
        """The features of these rows, in this order, their targets replaced as their kind does it."""
        # Windows of one example ask for it several times.
        rows, places = np.unique(np.asarray(indices, dtype=np.int64), return_inverse=True)
        features = super().read(rows)
        targets = []
        for row, feature, donated in zip(rows, features.each(), self._donated(rows), strict=True):
            generator = np.random.default_rng(derive_seed(self.key, int(row)))
            targets.append(self.kind.relabel(feature, donated, self.how, generator))
        return features.with_targets(targets).take(places)

    def _donated(self, rows: np.ndarray) -> list[list[int]]:
        """The targets of the row that each row gets another's from. Donors are a permutation of the rows that maps
        those with equally many positions onto each other: an option's index exists where it goes."""
        if not len(rows):
            return []
        counts, order, place = self._groups
        donors = np.empty_like(rows)
        for count in np.unique(counts[rows]):
            first, last = np.searchsorted(counts[order], (count, count + 1))
            here = counts[rows] == count
            images = permute(place[rows[here]] - first, int(last - first), derive_seed(self.key, "donors", int(count)))
            donors[here] = order[first + images]
        return super().read(donors).targets.lists()

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of each row, the rows in the order of these numbers, and the place of each row in that order."""
        positions = self.column("positions")
        counts = pc.list_value_length(positions).to_numpy()
        order = np.argsort(counts, kind="stable")
        return counts, order, np.argsort(order)


def relabelled(features: FeatureSet, kind: Kind[Any], how: Relabelling, key: int) -> FeatureSet:
    """The same inputs with other targets; `key` names which."""
    fingerprint = f"{derive_seed(features.fingerprint, how.scheme, key):016x}"
    return RelabelledSet(**{**features.stored(), "fingerprint": fingerprint}, kind=kind, how=how, key=key)
