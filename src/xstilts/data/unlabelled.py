"""Inputs of a labelled task as running text, for masked language modelling: a view of stored features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xstilts.core.seeds import derive_seed
from xstilts.data.store import FeatureSet
from xstilts.kinds.features import Features


@dataclass(frozen=True)
class UnlabelledSet(FeatureSet):
    """Tokens and segments stay as the task has them: a pair is one segment, a multiple choice one for each option."""

    def read(self, indices: Sequence[int] | np.ndarray) -> Features:
        """The features of these rows, in this order, without where a head reads and what it is trained on."""
        features = super().read(indices)
        sizes = features.sizes.copy()
        sizes[2:] = 0
        return replace(features, sizes=sizes, num_targets=np.ones(len(features), dtype=np.int64))


def unlabelled(features: FeatureSet) -> UnlabelledSet:
    """The same inputs without labels."""
    fingerprint = f"{derive_seed(features.fingerprint, 'unlabelled'):016x}"
    return UnlabelledSet(**{**features.stored(), "fingerprint": fingerprint})
