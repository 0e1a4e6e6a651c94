"""Scores of rankings and of mined pairs; references and predictions are candidate ids."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import f1, precision, recall, share
from xstilts.kinds.retrieval import DEPTH


def _top1(relevant: Collection[str], ranked: Sequence[str]) -> tuple[float, float]:
    return float(bool(ranked) and ranked[0] in relevant), 1.0


def _random_top1(num_right: np.ndarray, num_candidates: int) -> np.ndarray:
    return np.stack([num_right / num_candidates, np.ones_like(num_right)], axis=-1)


def _average_precision(relevant: Collection[str], ranked: Sequence[str]) -> tuple[float, float]:
    """AP@20 = (sum of the precision at each hit) / min(number of right candidates, 20), as LAReQA in XTREME-R
    (Ruder et al. 2021); with one right candidate it is Mewsli-X's reciprocal rank. A repeated candidate hits once."""
    assert relevant, "a query without a right candidate cannot be scored"
    left = set(relevant)
    hits, total = 0, 0.0
    for rank, candidate in enumerate(ranked[:DEPTH], start=1):
        if candidate in left:
            left.remove(candidate)
            hits += 1
            total += hits / rank
    return total / min(len(set(relevant)), DEPTH), 1.0


def _random_average_precision(num_right: np.ndarray, num_candidates: int) -> np.ndarray:
    expected = [_expected_average_precision(int(num), num_candidates) for num in num_right]
    return np.stack([np.array(expected), np.ones_like(num_right)], axis=-1)


def _expected_average_precision(num_right: int, num_candidates: int) -> float:
    """E[AP@20] of a random order: rank r holds a hit with probability R/C, and then (r-1)(R-1)/(C-1) more above it."""
    others = (num_right - 1) / max(1, num_candidates - 1)
    ranks = range(1, min(DEPTH, num_candidates) + 1)
    expected = sum(num_right / num_candidates * (1 + (rank - 1) * others) / rank for rank in ranks)
    return expected / min(num_right, DEPTH)


def _mined(relevant: Collection[str], mined: Collection[str]) -> tuple[float, float, float]:
    """One source sentence of BUCC: its true targets (most have none) and its mined ones."""
    return float(len(set(relevant) & set(mined))), float(len(set(mined))), float(len(set(relevant)))


def _random_pair(num_right: np.ndarray, num_candidates: int) -> np.ndarray:
    """One random target per source sentence."""
    return np.stack([num_right / num_candidates, np.ones_like(num_right), num_right], axis=-1)


def _mining(name: str, title: str, value: Callable[[np.ndarray], np.ndarray], beside: tuple[str, ...] = ()) -> Metric:
    return Metric(
        name,
        title,
        _mined,
        value,
        unanswered=lambda relevant: _mined(relevant, ()),
        of_random_ranking=_random_pair,
        beside=beside,
    )


register_metric(Metric("top1", "Accuracy", _top1, share, of_random_ranking=_random_top1))
register_metric(Metric("map_at_20", "mAP@20", _average_precision, share, of_random_ranking=_random_average_precision))
register_metric(_mining("mining_f1", "Mining F1", f1, ("mining_precision", "mining_recall")))
register_metric(_mining("mining_precision", "Mining precision", precision))
register_metric(_mining("mining_recall", "Mining recall", recall))
