from __future__ import annotations

import pytest

from xstilts.evaluation.metrics import find_metric


def test_top1() -> None:
    golds, ranked = [("a",), ("a", "b"), ("c",), ("d",)], [("a", "x"), ("b",), ("x", "c"), ()]
    assert find_metric("top1").score(golds, ranked) == 50.0


def _ap(relevant: str, ranked: str) -> float:
    return find_metric("map_at_20").score([tuple(relevant)], [tuple(ranked)])


def test_average_precision_by_hand() -> None:
    # Hits at ranks 1 and 3 of three right candidates: (1/1 + 2/3) / 3.
    assert _ap("abc", "axb") == pytest.approx(100 * 5 / 9)
    assert _ap("abc", "abc") == 100.0
    assert _ap("abc", "xyz") == 0.0
    assert _ap("abc", "") == 0.0


def test_one_right_candidate_is_the_reciprocal_rank() -> None:
    assert _ap("q", "abcdefghijklq") == 1 / 13 * 100


def test_depth_is_20() -> None:
    ranked = tuple(str(i) for i in range(30))
    metric = find_metric("map_at_20")
    assert metric.score([("20",)], [ranked]) == 0.0
    assert metric.score([("19",)], [ranked]) == pytest.approx(5.0)
    # 25 right candidates, the first 20 ranks all hits: divided by 20, not by 25.
    assert metric.score([ranked[:25]], [ranked]) == 100.0


def test_a_repeated_candidate_hits_once() -> None:
    assert _ap("ab", "aab") == pytest.approx(100 * (1 + 2 / 3) / 2)


def test_mining_by_hand() -> None:
    # Sources s1 s2 s3 with targets t1 t2 -; mined t1 t5 t9: 1 right of 3 mined and of 2 true.
    golds, mined = [("t1",), ("t2",), ()], [("t1",), ("t5",), ("t9",)]
    assert find_metric("mining_f1").score(golds, mined) == pytest.approx(40.0)
    assert find_metric("mining_precision").score(golds, mined) == pytest.approx(100 / 3)
    assert find_metric("mining_recall").score(golds, mined) == 50.0


def test_mining_nothing() -> None:
    assert find_metric("mining_f1").score([("t1",)], [()]) == 0.0
