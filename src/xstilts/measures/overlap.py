"""What two text collections share on the surface."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from sacrebleu.metrics.chrf import CHRF

_CHRF = CHRF()


def chrf(first: Iterable[str], second: Iterable[str]) -> float:
    """chrF (Popovic 2015, by sacrebleu) of two collections as bags of character n-grams, percent.

    The collections need not be parallel. White space is left out, and the longer is cut to the length of the shorter:
    so precision is recall, neither order nor beta matters, and size does not pass for similarity. Compare only figures
    from about the same number of characters: the more, the larger.
    """
    x, y = ("".join("".join(texts).split()) for texts in (first, second))
    length = min(len(x), len(y))
    return _CHRF.sentence_score(x[:length], [y[:length]]).score


def subword_jaccard(first: Iterable[Sequence[int]], second: Iterable[Sequence[int]]) -> float:
    """Share of the pieces used in either collection that are used in both (Pires et al. 2019)."""
    x, y = np.unique(_flat(first)), np.unique(_flat(second))
    both = len(np.intersect1d(x, y, assume_unique=True))
    return both / (len(x) + len(y) - both)


def subword_coverage(source: Iterable[Sequence[int]], target: Iterable[Sequence[int]]) -> float:
    """Share of the target's tokens whose piece occurs in the source: Jaccard's intersection weighted by tokens (Wu and
    Dredze 2019). Grows with the source: compare sources of equal size."""
    return float(np.isin(_flat(target), _flat(source)).mean())


def _flat(texts: Iterable[Sequence[int]]) -> np.ndarray:
    """int64 ids of all tokens."""
    arrays = [np.asarray(ids, dtype=np.int64) for ids in texts]
    assert sum(map(len, arrays)), "no tokens"
    return np.concatenate(arrays)
