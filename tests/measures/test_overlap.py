from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from xstilts.measures.overlap import chrf, subword_coverage, subword_jaccard

texts = st.lists(st.text("abcde ", max_size=12), min_size=1, max_size=4).filter(lambda t: "".join(t).strip())


def ngram_share(x: str, y: str) -> float:
    """chrF of two strings of equal length, by counting: at each order the share of n-grams that match."""
    shares = []
    for n in range(1, 7):
        first, second = (Counter(t[i : i + n] for i in range(len(t) - n + 1)) for t in (x, y))
        if first:
            shares.append(sum((first & second).values()) / sum(first.values()))
    return 100 * sum(shares) / len(shares)


def test_equals_sacrebleu_on_texts_of_equal_length() -> None:
    first, second = "mwalimu anasoma kitabu", "omusomesa asoma ekitab"
    assert len(first) == len(second)
    assert chrf([first], [second]) == pytest.approx(CHRF().sentence_score(first, [second]).score, abs=1e-9)


@given(texts, texts)
def test_equals_counting(first: list[str], second: list[str]) -> None:
    x, y = ("".join("".join(t).split()) for t in (first, second))
    length = min(len(x), len(y))
    assert chrf(first, second) == pytest.approx(ngram_share(x[:length], y[:length]), abs=1e-6)


@given(texts, texts)
def test_order_does_not_matter(first: list[str], second: list[str]) -> None:
    assert chrf(first, second) == pytest.approx(chrf(second, first), abs=1e-9)


def test_extremes_and_a_longer_collection() -> None:
    assert chrf(["abc def"], ["abc", "def"]) == pytest.approx(100.0)
    assert chrf(["abcdef"], ["ኢትዮጵያ"]) == pytest.approx(0.0)
    assert chrf(["abcdef"], ["abcdef", "xyz" * 50]) == pytest.approx(100.0)


def test_subword_overlap_by_hand() -> None:
    """Types {1, 2, 3} and {2, 3, 4, 5}: 2 of 5. Of the target's six tokens 2, 2, 3 occur in the source."""
    source, target = [[1, 2], [3, 3, 3]], [[2, 2, 4], [], [3, 5, 5]]
    assert subword_jaccard(source, target) == pytest.approx(0.4)
    assert subword_coverage(source, target) == pytest.approx(0.5)
    assert subword_coverage(target, source) == pytest.approx(0.8)


@given(st.lists(st.lists(st.integers(0, 20), min_size=1), min_size=1))
def test_subword_overlap_with_itself(collection: list[list[int]]) -> None:
    assert subword_jaccard(collection, collection) == subword_coverage(collection, collection) == 1.0
