"""How hard single training items are, over all visits of each; larger for harder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from xstilts.measures.difficulty import MIN_VISITS, bits
from xstilts.measures.task_visits import TaskVisits

Measure = Literal["confidence", "nll", "variability", "v_information"]


def hardness(
    visits: TaskVisits, measure: Measure, ids: Sequence[str], null_bits: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Each item's hardness; NaN for one with fewer than three visits.

    `confidence`: minus the mean of p(gold). `nll`: mean nats per target. `variability`: deviation of p(gold).
    `v_information`: minus the mean of the bits per target that the input saves over the null model.

    Args:
        ids: of all items, in whose order the result is.
        null_bits: id -> bits of its targets under the null model, for `v_information`.
    """
    place = {id_: i for i, id_ in enumerate(ids)}
    item = np.array([place[id_] for id_ in visits.ids], dtype=np.int64)
    counts = np.bincount(item, minlength=len(ids))
    measured = np.maximum(counts, 1)

    def mean(values: np.ndarray) -> np.ndarray:
        """Over the visits of each item."""
        return np.bincount(item, values, minlength=len(ids)) / measured

    if measure == "confidence":
        found = -mean(visits.p_gold)
    elif measure == "nll":
        found = mean(visits.nll / visits.num_targets)
    elif measure == "variability":
        found = np.sqrt(mean((visits.p_gold - mean(visits.p_gold)[item]) ** 2))
    else:
        assert null_bits is not None
        null = np.array([null_bits[id_] for id_ in visits.ids])
        found = mean((bits(visits.nll) - null) / visits.num_targets)
    found[counts < MIN_VISITS] = np.nan
    return dict(zip(ids, found.tolist(), strict=True))
