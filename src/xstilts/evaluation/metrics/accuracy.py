"""Shares of right answers: per example and per word."""

from __future__ import annotations

from collections.abc import Sequence

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import share


def _example(reference: str | int, prediction: str | int) -> tuple[float, float]:
    return float(reference == prediction), 1.0


def _words(reference: Sequence[str], prediction: Sequence[str]) -> tuple[float, float]:
    return float(sum(r == p for r, p in zip(reference, prediction, strict=True))), float(len(reference))


register_metric(Metric("accuracy", "Accuracy", _example, share))
register_metric(
    Metric(
        "token_accuracy",
        "Accuracy over words",
        _words,
        share,
        unanswered=lambda reference: (0.0, float(len(reference))),
    )
)
