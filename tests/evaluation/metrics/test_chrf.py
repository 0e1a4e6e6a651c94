from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from xstilts.evaluation.metrics import find_metric, interval
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


def test_n_grams_are_counted_over_all_answers() -> None:
    assert _chrf("ab", "xy", "ac", "ab") == pytest.approx(100.0)
    references = [AnswerReference(("ab",), "swh_Latn"), AnswerReference(("acd",), "swh_Latn")]
    # Of 4 predicted and 5 right characters 3 agree, of 2 and 3 bigrams one; trigrams are on one side alone.
    # The mean of the two sentence scores would be another number.
    precision, recall = (3 / 4 + 1 / 2) / 2, (3 / 5 + 1 / 3) / 2
    expected = 100 * 5 * precision * recall / (4 * precision + recall)
    assert find_metric("chrf").score(references, ["ab", "ab"]) == pytest.approx(expected)


def test_without_answer_or_prediction() -> None:
    assert _chrf("", "ab") == 0.0
    metric, answered = find_metric("chrf"), AnswerReference(("ab",), "swh_Latn")
    # Two of two characters and one of one bigram, against four and two: recall 1/2 of both.
    assert metric.score([answered] * 2, ["ab", None]) == pytest.approx(100 * 5 * 0.5 / (4 + 0.5))
    # A question without answer has no n-grams to find.
    assert metric.score([answered, AnswerReference((), "swh_Latn")], ["ab", "x"]) == pytest.approx(100.0)


_text = st.text("ab c", max_size=9)


@given(st.lists(st.tuples(_text, st.lists(_text, min_size=2, max_size=2)), min_size=1, max_size=5))
def test_equal_to_sacrebleu_to_the_last_bit(items: list[tuple[str, list[str]]]) -> None:
    predictions, answers = [prediction for prediction, _ in items], [right for _, right in items]
    references = [AnswerReference(tuple(right), "swh_Latn") for right in answers]
    official = CHRF().corpus_score(predictions, [[first for first, _ in answers], [second for _, second in answers]])
    metric = find_metric("chrf")
    assert metric.score(references, predictions) == official.score
    low, high = interval(metric.table(references, predictions), metric, num_resamples=20)
    assert 0 <= low <= high <= 100 + 1e-9
