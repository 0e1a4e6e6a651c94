"""The mean change and its error: over seeds in these languages, or over seeds and languages both drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xstilts.analysis.statistics.estimate import Array, TEstimate

FEW = 5
"""With fewer seeds or languages Satterthwaite's df are too noisy to be used."""
_FLOOR = 0.5
"""The least variance, in error mean squares: the estimate is a difference that can vanish. Set on the calibration grid
(`benchmarks/calibration.md`); at 1 the detectable effect is pessimistic where neither seeds nor languages vary."""


@dataclass(frozen=True)
class MeanSquares:
    """The two-way analysis of variance without replication of changes [..., seeds, languages]."""

    seeds: Array
    languages: Array
    error: Array
    num_seeds: int
    num_languages: int

    @classmethod
    def of(cls, changes: Array) -> MeanSquares:
        num_seeds, num_languages = changes.shape[-2:]
        mean = changes.mean(axis=(-2, -1), keepdims=True)
        by_seed = changes.mean(axis=-1, keepdims=True)
        by_language = changes.mean(axis=-2, keepdims=True)
        error = ((changes - by_seed - by_language + mean) ** 2).sum(axis=(-2, -1))
        return cls(
            num_languages * ((by_seed - mean) ** 2).sum(axis=(-2, -1)) / (num_seeds - 1),
            num_seeds * ((by_language - mean) ** 2).sum(axis=(-2, -1)) / (num_languages - 1),
            error / ((num_seeds - 1) * (num_languages - 1)),
            num_seeds,
            num_languages,
        )

    def error_of_mean(self) -> tuple[Array, Array]:
        """Standard error of the grand mean, seeds and languages random, and its df after Satterthwaite (1946).

        The variance is (seeds + languages - error) / (S L), whose expectation is var_seed / S + var_language / L +
        var_error / (S L). With fewer than five of either the df are min(S, L) - 1.
        """
        s, n = self.num_seeds, self.num_languages
        variance = np.maximum(self.seeds + self.languages - self.error, _FLOOR * self.error)
        fewest = min(s, n) - 1
        if min(s, n) < FEW:
            df = np.full_like(variance, fewest)
        else:
            noise = self.seeds**2 / (s - 1) + self.languages**2 / (n - 1) + self.error**2 / ((s - 1) * (n - 1))
            with np.errstate(invalid="ignore"):
                satterthwaite = variance**2 / noise
            df = np.where(noise > 0, np.maximum(satterthwaite, fewest), fewest)
        return np.sqrt(variance / (s * n)), df


def seed_mean(changes: Array) -> TEstimate:
    """The mean change in *these* languages: t over the seeds' means, df = S - 1.

    `changes` [..., seeds >= 2, languages]. What it says holds for other seeds, and for these languages alone.
    """
    by_seed = changes.mean(axis=-1)
    num_seeds = by_seed.shape[-1]
    mean = by_seed.mean(axis=-1)
    standard_error = by_seed.std(axis=-1, ddof=1) / num_seeds**0.5
    return TEstimate(mean, standard_error, np.full_like(mean, num_seeds - 1))


def crossed_mean(changes: Array) -> TEstimate:
    """The mean change in languages *like these*: seeds and languages are both random, by the method of moments.

    `changes` [..., seeds >= 2, languages >= 2]. Languages must be independent draws; where they come in families, the
    families are what is drawn (`families.family_means`).
    """
    standard_error, df = MeanSquares.of(changes).error_of_mean()
    return TEstimate(changes.mean(axis=(-2, -1)), standard_error, df)
