"""How hard a task or an item is. Bits are base 2; records hold nats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from xstilts.measures.task_visits import TaskVisits

MIN_VISITS = 3
"""Fewer visits say nothing of how an item's probability moves in training."""

HARDER: Mapping[str, int] = MappingProxyType(
    {"normalised_error": 1, "code_length": 1, "confidence": -1, "variability": 1, "v_information": -1}
)
"""+1 where more of the measure is harder, -1 where it is easier. Variability is largest for ambiguous items; the
hardest of all are of low confidence and low variability (Swayamdipta et al. 2020, section 2)."""


def normalised_error(score: float, chance: float, majority: float | None) -> float | None:
    """What is missing to a perfect score, as a share of what the best model without input misses.

    Args:
        score, chance, majority: percent; `majority` is None where no constant prediction can be made.

    Returns:
        0 for a perfect score, 1 for no better than trivial, above 1 for worse; None where the trivial is perfect.
    """
    trivial = max(chance, majority if majority is not None else chance)
    return None if trivial >= 100 else (100 - score) / (100 - trivial)


def code_length(nll: np.ndarray, null_bits: np.ndarray) -> float | None:
    """Online code length of the labels given the inputs, over that of the null model (Blier and Ollivier 2018; Voita
    and Titov 2020): each label is paid for before the model learns from it.

    0 is free, 1 no better than the null model. It falls with the number of items: compare tasks at equal numbers, which
    are the first n elements of visits in their order. Training with dropout makes it an upper bound. It is a measure of
    tasks; of single items it says more about when they were drawn.

    Args:
        nll: nats [n], of the first visits of items.
        null_bits: bits [n], of the same items, by the null model of their kind.

    Returns:
        None where nothing was visited or the null model pays nothing, as with a single label.
    """
    assert nll.shape == null_bits.shape
    null = float(null_bits.sum())
    return float(bits(nll).sum()) / null if null > 0 else None


def pointwise_v_information(nll: np.ndarray, null_bits: np.ndarray) -> np.ndarray:
    """PVI of each held-out item in bits [n]: what the model saves by seeing the input (Ethayarajh et al. 2022).
    Below 0 where it would have done better without."""
    assert nll.shape == null_bits.shape
    return null_bits - bits(nll)


def v_information(nll: np.ndarray, null_bits: np.ndarray, num_targets: np.ndarray) -> float | None:
    """V-information of held-out items in bits per target: H(Y) minus the mean of -log2 p(y|x) (Xu et al. 2020).
    A lower bound for a model that is not the best of its family; None of no targets.

    Args:
        nll: nats [n], dropout off.
        null_bits: bits [n].
        num_targets: [n]; with one target each, the result is the mean over items.
    """
    total = int(num_targets.sum())
    return float(pointwise_v_information(nll, null_bits).sum()) / total if total else None


@dataclass(frozen=True)
class Cartography:
    """Training dynamics of each item (Swayamdipta et al. 2020, section 2)."""

    ids: np.ndarray
    """str objects [n], in the order of their first visits: the items with at least three."""
    confidence: np.ndarray
    """float64 [n]: mean of p(gold) over visits."""
    variability: np.ndarray
    """float64 [n]: its standard deviation over visits, divided by their number."""
    num_not_measured: int
    """Items with fewer visits."""


def cartography(visits: TaskVisits) -> Cartography:
    """Mean and deviation of p(gold) over all visits of each item."""
    encoded = pa.array(visits.ids, pa.string()).dictionary_encode()
    ids, item = encoded.dictionary.to_numpy(zero_copy_only=False), encoded.indices.to_numpy()
    counts = np.bincount(item, minlength=len(ids))
    mean = np.bincount(item, visits.p_gold, minlength=len(ids)) / counts
    deviation = np.sqrt(np.bincount(item, (visits.p_gold - mean[item]) ** 2, minlength=len(ids)) / counts)
    measured = counts >= MIN_VISITS
    return Cartography(ids[measured], mean[measured], deviation[measured], int((~measured).sum()))


def bits(nats: np.ndarray) -> np.ndarray:
    """Nats in bits."""
    return nats / np.log(2)
