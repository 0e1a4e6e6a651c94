"""A part of stored features: a view that copies none of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xstilts.core.errors import UserError
from xstilts.core.seeds import derive_seed
from xstilts.data.store import FeatureSet


def ids_of(features: FeatureSet) -> list[str]:
    """The id of each row; an error where two rows have one, for a subset names rows by it."""
    ids = features.column("id").to_pylist()
    if len(set(ids)) < len(ids):
        raise UserError(f"subset: {features.path.name} has examples of one id; give each its own or drop the subset")
    return ids


def subset(features: FeatureSet, chosen: Collection[str], name: str) -> FeatureSet:
    """The rows of the chosen ids, in their order; `name` says which these are."""
    wanted = set(chosen)
    indices = np.array([row for row, id_ in enumerate(ids_of(features)) if id_ in wanted], dtype=np.int64)
    lengths = features.column("lengths").take(pa.array(indices))
    return replace(
        features,
        chosen=indices if features.chosen is None else features.chosen[indices],
        num_tokens=features.num_tokens[indices],
        longest_segment=pc.max(pc.list_flatten(lengths)).as_py(),
        fingerprint=f"{derive_seed(features.fingerprint, name):016x}",
    )
