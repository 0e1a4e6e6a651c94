"""What the labels cost a model that is not shown the input: the denominator of code length, the start of V-information.

Every function returns bits per item, float64 [n]. The null model is fitted to the very labels that it is asked for: the
best constant prediction in hindsight, so that the mean over items is their entropy. It never flatters the trained
model: a null model fitted to other items, as that of Ethayarajh et al. (2022), would cost more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np


def pair_null_bits(labels: Sequence[Hashable]) -> np.ndarray:
    """Pair: the label marginal. The mean over items is H(Y)."""
    return _surprisal(labels, [None] * len(labels))


def choice_null_bits(positions: Sequence[int], num_options: Sequence[int]) -> np.ndarray:
    """Choice: the marginal of the right option's place among as many options: their number is no part of the input."""
    return _surprisal(positions, num_options)


def tagging_null_bits(tags: Sequence[Sequence[Hashable]]) -> np.ndarray:
    """Tagging: the marginal of tags over all words of all items, each word by itself. Words without a label are left
    out by the caller. It knows nothing of neighbouring tags, as the head does not."""
    return _sum_by_item(pair_null_bits(list(chain.from_iterable(tags))), [len(of_item) for of_item in tags])


def span_null_bits(window_lengths: Sequence[Sequence[int]], answered: Sequence[Sequence[bool]]) -> np.ndarray:
    """Span: the marginal of "there is an answer in this window"; where there is one, start and end are uniform and
    independent over the window's tokens other than `<s>`, which stands for no answer.

    Independent, because the head scores start and end apart: no model of its class could know without the input that
    ends follow starts. Uniform, although answers tend to stand early: what a model gains from their place alone counts
    as information of the input. V-information of spans is therefore an upper bound; compare it with that of other kinds
    with care, and with that of other span tasks freely.

    Args:
        window_lengths: tokens of each window of each item, `<s>` included.
        answered: whether each window holds the answer.
    """
    lengths = np.array(list(chain.from_iterable(window_lengths)), dtype=np.int64)
    has_answer = np.array(list(chain.from_iterable(answered)), dtype=bool)
    places = 2 * np.log2(np.maximum(lengths - 1, 1))
    surprisals = pair_null_bits(has_answer.tolist()) + np.where(has_answer, places, 0.0)
    return _sum_by_item(surprisals, [len(of_item) for of_item in window_lengths])


def mlm_null_bits(num_masked: np.ndarray, piece_counts: np.ndarray) -> np.ndarray:
    """MLM: the unigram distribution of pieces in the text that was masked. An item costs its number of masked tokens
    times the entropy: which pieces they were is drawn anew at each visit and not recorded.

    Args:
        num_masked: int [n].
        piece_counts: int [V], of ordinary pieces, which alone are masked; of a text of at least as many tokens as the
            vocabulary has pieces in use, or the entropy is too low.
    """
    shares = piece_counts[piece_counts > 0] / piece_counts.sum()
    entropy = -float((shares * np.log2(shares)).sum())
    return num_masked.astype(np.float64) * entropy


def _surprisal(labels: Sequence[Hashable], given: Sequence[Hashable]) -> np.ndarray:
    """-log2 of each label's relative frequency among those with the same condition."""
    pairs = list(zip(labels, given, strict=True))
    joint = Counter(pairs)
    marginal = Counter(condition for _, condition in pairs)
    cost = {pair: np.log2(marginal[pair[1]] / count) for pair, count in joint.items()}
    return np.array([cost[pair] for pair in pairs], dtype=np.float64)


def _sum_by_item(values: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Sums of consecutive runs of the given lengths, some of which may be 0."""
    return np.bincount(np.repeat(np.arange(len(counts)), counts), values, minlength=len(counts))
