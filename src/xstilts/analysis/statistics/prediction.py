"""How well similarity predicts the change in a language, or a family, that was held out. An error, not a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.analysis.statistics.estimate import Array
from xstilts.analysis.statistics.families import members


@dataclass(frozen=True)
class PredictionError:
    """Root mean squared errors over all held-out cells, in the unit of the changes."""

    mean_only: float
    """From the task's mean in the languages that were not held out."""
    family_only: float
    """From the task's mean in the other languages of the family."""
    similarity: float
    """From the task's mean and the similarity, by one slope for all tasks."""
    num_held_out: int
    """Languages or families held out, one at a time."""
    num_without_family: int
    """Languages of which no other of the family was left: predicted by the mean as in `mean_only`."""


def leave_one_language_out(changes: Array, similarity: Array, families: Sequence[str]) -> PredictionError:
    """Holds out each language of `changes` and `similarity` [tasks, languages >= 3]."""
    return _leave_out(changes, similarity, families, [[i] for i in range(len(families))])


def leave_one_family_out(changes: Array, similarity: Array, families: Sequence[str]) -> PredictionError:
    """Holds out each family with all its languages; at least two families, and two languages beside each."""
    return _leave_out(changes, similarity, families, list(members(families).values()))


def _leave_out(
    changes: Array, similarity: Array, families: Sequence[str], folds: Sequence[Sequence[int]]
) -> PredictionError:
    squares = np.zeros(3)
    num_alone = 0
    for held in folds:
        rest = [i for i in range(len(families)) if i not in held]
        mean = changes[:, rest].mean(axis=1)
        x_mean = similarity[:, rest].mean(axis=1)
        x = similarity[:, rest] - x_mean[:, None]
        square = (x**2).sum()
        slope = (x * changes[:, rest]).sum() / square if square > 0 else 0.0
        for i in held:
            relatives = [j for j in rest if families[j] == families[i]]
            num_alone += not relatives
            by_family = changes[:, relatives].mean(axis=1) if relatives else mean
            by_similarity = mean + slope * (similarity[:, i] - x_mean)
            predicted = np.stack([mean, by_family, by_similarity])
            squares += ((predicted - changes[:, i]) ** 2).sum(axis=1)
    mean_only, family_only, by_slope = (float(error) for error in np.sqrt(squares / changes.size))
    return PredictionError(mean_only, family_only, by_slope, len(folds), num_alone)
