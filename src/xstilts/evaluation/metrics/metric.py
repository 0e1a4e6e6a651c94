"""What a metric is: sufficient statistics of one item, summed over items, turned into a score.

Stating a metric this way makes it exact (one sum, one division), cheap to bootstrap (resample rows of
statistics) and independent of how items were spread over ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xstilts.core.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Metric:
    """A score in percent over items (sentences, questions, queries)."""

    name: str
    title: str
    statistics: Callable[[Any, Any], tuple[float, ...]]
    """(reference, prediction) of one item -> its statistics, e.g. (right, total) or (hits, predicted, right)."""
    value: Callable[[np.ndarray], np.ndarray]
    """Summed statistics [..., k] -> scores [...] in percent, 0 where there is nothing to score."""
    read: Callable[[Sequence[Any]], Sequence[Any]] = lambda items: items
    """All references, and all predictions -> what `statistics` takes of each, where that depends on those before it."""
    unanswered: Callable[[Any], tuple[float, ...]] = lambda reference: (0.0, 1.0)
    """Reference -> statistics of an item without any prediction."""
    of_random_ranking: Callable[[np.ndarray, int], np.ndarray] | None = None
    """(number of right candidates of each query, float64 [n]; number of candidates) -> expected statistics [n, k] of a
    random order, where that has a closed form; None: chance is drawn."""
    beside: tuple[str, ...] = ()
    """Metrics that official scripts print with it: precision and recall beside an F1."""
    headline: tuple[str, ...] = ()
    """Metrics whose mean is the score of a task of which this is the first metric; none: this one alone."""
    version: int = 1
    """Raised when the same model scores otherwise by it: what was scored before is then scored anew."""

    def table(self, references: Sequence[Any], predictions: Sequence[Any]) -> np.ndarray:
        """Statistics of every item, float64 [n, k]; [0, 0] without items. A prediction may be None: there is none."""
        rows = [
            self.unanswered(reference) if prediction is None else self.statistics(reference, prediction)
            for reference, prediction in zip(self.read(references), self.read(predictions), strict=True)
        ]
        return np.array(rows, dtype=np.float64) if rows else np.empty((0, 0))

    def score(self, references: Sequence[Any], predictions: Sequence[Any]) -> float:
        """The score over all items, in percent; 0 without items."""
        table = self.table(references, predictions)
        return float(self.value(table.sum(axis=0))) if len(table) else 0.0


_METRICS: dict[str, Metric] = {}


def register_metric(metric: Metric) -> Metric:
    """Adds a metric to the registry; names are unique."""
    assert metric.name not in _METRICS, f"metric '{metric.name}' is registered twice"
    _METRICS[metric.name] = metric
    return metric


def find_metric(name: str) -> Metric:
    """The metric of that name; an error with the nearest known name."""
    if name not in _METRICS:
        raise UserError(f"unknown metric '{name}'; {did_you_mean(name, _METRICS)}")
    return _METRICS[name]


def interval(
    table: np.ndarray, metric: Metric, *, level: float = 0.95, num_resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a score over items; `table` is float64 [n, k].

    Deterministic in `seed`. Items with equal statistics are drawn together, which leaves the distribution of the
    resampled sums as it is: memory and time go with the number of distinct rows (2 for accuracy), not with n.
    """
    n = len(table)
    if n == 0:
        return (0.0, 0.0)
    rows, multiplicity = np.unique(table, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    chunk = max(1, (64 << 20) // (8 * len(rows)))
    scores = []
    for start in range(0, num_resamples, chunk):
        counts = generator.multinomial(n, multiplicity / n, size=min(chunk, num_resamples - start))
        scores.append(metric.value(counts.astype(np.float64) @ rows))
    low, high = np.quantile(np.concatenate(scores), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
