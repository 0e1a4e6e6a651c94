from __future__ import annotations

import pytest

from xstilts.evaluation.metrics import find_metric
from xstilts.kinds.span import AnswerReference


def _chrf(prediction: str, *answers: str) -> float:
    return find_metric("chrf").score([AnswerReference(answers, "swh_Latn")], [prediction])


def test_equal_and_disjoint() -> None:
    assert _chrf("nyumbani", "nyumbani") == pytest.approx(100.0)
    assert _chrf("fedha", "moto") == 0.0


def test_partial_match_by_hand() -> None:
    # One of two characters, none of one bigram: precision = recall = (1/2 + 0) / 2.
    assert _chrf("ab", "ac") == pytest.approx(25.0)


def test_spaces_do_not_count_and_case_does() -> None:
    assert _chrf("a b", "ab") == pytest.approx(100.0)
    assert _chrf("AB", "ab") == 0.0


def test_best_gold_and_mean_over_questions() -> None:
    assert _chrf("ab", "xy", "ac", "ab") == pytest.approx(100.0)
    golds = [AnswerReference(("ab",), "swh_Latn"), AnswerReference(("ac",), "swh_Latn")]
    assert find_metric("chrf").score(golds, ["ab", "ab"]) == pytest.approx(62.5)


def test_no_answer() -> None:
    assert _chrf("") == 100.0
    assert _chrf("x") == 0.0
    assert _chrf("", "ab") == 0.0
