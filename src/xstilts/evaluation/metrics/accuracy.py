"""Shares of right answers: per example and per word."""

from __future__ import annotations

from collections.abc import Sequence

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import share


def _example(gold: str | int, prediction: str | int) -> tuple[float, float]:
    return float(gold == prediction), 1.0


def _words(gold: Sequence[str], prediction: Sequence[str]) -> tuple[float, float]:
    return float(sum(g == p for g, p in zip(gold, prediction, strict=True))), float(len(gold))


register_metric(Metric("accuracy", "Accuracy", _example, share))
register_metric(Metric("token_accuracy", "Accuracy over words", _words, share))
