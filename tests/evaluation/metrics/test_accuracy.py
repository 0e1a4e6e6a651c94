from __future__ import annotations

import pytest

from xstilts.evaluation.metrics import find_metric


def test_accuracy_of_labels_and_options() -> None:
    accuracy = find_metric("accuracy")
    assert accuracy.score(["a", "b", "a"], ["a", "a", "a"]) == 2 / 3 * 100
    assert accuracy.score([0, 1], [0, 0]) == 50.0


def test_token_accuracy_weighs_words_not_sentences() -> None:
    gold = [("NOUN",), ("NOUN", "VERB", "PUNCT")]
    guess = [("VERB",), ("NOUN", "VERB", "PUNCT")]
    assert find_metric("token_accuracy").score(gold, guess) == 75.0


def test_ragged_tags_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="shorter"):
        find_metric("token_accuracy").score([("NOUN", "VERB")], [("NOUN",)])
