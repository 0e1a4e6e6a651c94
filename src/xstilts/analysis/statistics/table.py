"""Values by seed and language: what is missing, which runs collapsed, and the complete block that is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from xstilts.analysis.statistics.estimate import Array
from xstilts.core.errors import UserError


@dataclass(frozen=True)
class Table:
    """Changes of one contrast, or scores of one arm, for each seed in each language."""

    values: Array
    """[seeds, languages]; NaN where a cell is missing."""
    seeds: tuple[int, ...]
    languages: tuple[str, ...]
    set_aside: tuple[str, ...] = ()
    """Sentences that say what was left out of the study's runs and cells, and why."""

    def __post_init__(self) -> None:
        assert self.values.shape == (len(self.seeds), len(self.languages))

    def block(self, seeds: NDArray[np.bool_], languages: NDArray[np.bool_], reason: str) -> Table:
        """The seeds and languages to keep; the reason is added to what was set aside."""
        return Table(
            self.values[np.ix_(seeds, languages)],
            tuple(compress(self.seeds, seeds)),
            tuple(compress(self.languages, languages)),
            (*self.set_aside, reason),
        )


def collapsed(scores: Array, trivial: Array) -> NDArray[np.bool_]:
    """Runs [..., seeds] that score no better than trivial in at least half of the languages in which they are scored.

    `scores` [..., seeds, languages], NaN where missing; `trivial` [languages] is the better of chance and the best
    constant prediction. A language in which no run gets above trivial makes no collapse by itself, and a run that
    learned nothing is one even where luck put a language above it.
    """
    failed = (scores <= trivial).sum(axis=-1)
    found: NDArray[np.bool_] = (failed > 0) & (2 * failed >= np.isfinite(scores).sum(axis=-1))
    return found


def without_collapsed(table: Table, arms: Mapping[str, Mapping[int, bool]]) -> Table:
    """Leaves out each seed of which a run collapsed in any of `arms` (name -> seed -> collapsed), and counts them.

    With them in it, the mean over a few seeds hinges on whether a rare failure happened to be drawn, and no test of it
    holds its level (`benchmarks/calibration.md`).
    """
    gone = {seed for runs in arms.values() for seed in table.seeds if runs.get(seed, False)}
    if not gone:
        return table
    counts = {name: sum(runs.get(seed, False) for seed in table.seeds) for name, runs in arms.items()}
    runs = ", ".join(f"{count} of {len(table.seeds)} runs of {name}" for name, count in counts.items())
    keep = np.array([seed not in gone for seed in table.seeds])
    reason = f"Collapsed: {runs}; {len(gone)} of {len(table.seeds)} seeds are counted apart."
    return table.block(keep, np.ones(len(table.languages), dtype=np.bool_), reason)


def complete_block(table: Table) -> Table:
    """The table without missing cells: languages that most seeds lack are left out, then seeds that lack a cell.

    A seed less costs precision, whereas a language less changes what is estimated.

    Raises:
        UserError: there is no complete cell.
    """
    missing = np.isnan(table.values)
    seeds, languages = (np.ones(n, dtype=np.bool_) for n in missing.shape)
    while (left := missing & seeds[:, None] & languages).any():
        by_language = left.sum(axis=0)
        if 2 * by_language.max() > seeds.sum() and languages.sum() > 1:
            languages[by_language.argmax()] = False
        else:
            seeds[left.sum(axis=1).argmax()] = False
    if not (seeds.any() and languages.any()):
        raise UserError("no seed and language is left to answer from; run what `plan` lists")
    if not missing.any():
        return table
    names = [f"seed {seed}" for seed in compress(table.seeds, ~seeds)] + [*compress(table.languages, ~languages)]
    reason = (
        f"Missing: {int(missing.sum())} of {missing.size} cells; without {', '.join(names)} "
        f"{int(seeds.sum())} seeds x {int(languages.sum())} languages are complete."
    )
    return table.block(seeds, languages, reason)
