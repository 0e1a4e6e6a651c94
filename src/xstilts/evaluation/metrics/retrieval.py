"""Scores of rankings and of mined pairs; golds and predictions are candidate ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import f1, precision, recall, share

DEPTH = 20


def _top1(relevant: Collection[str], ranked: Sequence[str]) -> tuple[float, float]:
    return float(bool(ranked) and ranked[0] in relevant), 1.0


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


def _mined(relevant: Collection[str], mined: Collection[str]) -> tuple[float, float, float]:
    """One source sentence of BUCC: its true targets (most have none) and its mined ones."""
    return float(len(set(relevant) & set(mined))), float(len(set(mined))), float(len(set(relevant)))


register_metric(Metric("top1", "Accuracy", _top1, share))
register_metric(Metric("map_at_20", "mAP@20", _average_precision, share))
register_metric(Metric("mining_f1", "Mining F1", _mined, f1))
register_metric(Metric("mining_precision", "Mining precision", _mined, precision))
register_metric(Metric("mining_recall", "Mining recall", _mined, recall))
