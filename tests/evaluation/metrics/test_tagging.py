from __future__ import annotations

import warnings

import pytest
import seqeval.metrics
from hypothesis import given
from hypothesis import strategies as st

from xstilts.evaluation.metrics import find_metric


def _counts(metric: str, gold: str, guess: str) -> tuple[float, ...]:
    """(correct, predicted, gold) spans of one sentence."""
    return tuple(find_metric(metric).table([gold.split()], [guess.split()])[0])


def test_named_entities_by_hand() -> None:
    gold = "B-PER I-PER O B-LOC"
    assert _counts("tag_f1", gold, gold) == (2, 2, 2)
    # A person cut in two: three spans predicted, LOC alone right; precision 1/3, recall 1/2.
    assert _counts("tag_f1", gold, "B-PER B-PER O B-LOC") == (1, 3, 2)
    scores = [find_metric(f"tag_{part}").score([gold.split()], ["B-PER B-PER O B-LOC".split()]) for part in PARTS]
    assert scores == pytest.approx([40.0, 100 / 3, 50.0])
    # The type counts, and so does the boundary.
    assert _counts("tag_f1", gold, "B-ORG I-ORG O B-LOC") == (1, 2, 2)
    assert _counts("tag_f1", gold, "B-PER O O B-LOC") == (1, 2, 2)


PARTS = ("f1", "precision", "recall")


def test_adjacent_entities_of_one_type() -> None:
    assert _counts("tag_f1", "B-PER B-PER", "B-PER I-PER") == (0, 1, 2)


def test_broken_scheme_is_repaired_as_conlleval_does() -> None:
    assert _counts("tag_f1", "B-PER I-PER O B-LOC", "I-PER I-PER O I-LOC") == (2, 2, 2)
    # I of another type opens a span.
    assert _counts("tag_f1", "B-PER I-LOC", "B-PER B-LOC") == (2, 2, 2)


def test_empty_prediction_and_empty_gold() -> None:
    assert _counts("tag_f1", "B-PER O", "O O") == (0, 0, 1)
    assert find_metric("tag_f1").score([("B-PER", "O")], [("O", "O")]) == 0.0
    assert _counts("tag_f1", "O O", "B-PER O") == (0, 1, 0)
    assert find_metric("tag_f1").score([("O", "O")], [("B-PER", "O")]) == 0.0
    assert _counts("tag_f1", "", "") == (0, 0, 0)


def test_spans_end_with_the_sentence() -> None:
    metric = find_metric("xtreme_pos_f1")
    # Two sentences of one noun are two spans; one sentence of two nouns is one.
    assert metric.table([("NOUN",), ("NOUN",)], [("NOUN",), ("NOUN",)]).sum(axis=0).tolist() == [2, 2, 2]
    assert metric.table([("NOUN", "NOUN")], [("NOUN", "NOUN")]).sum(axis=0).tolist() == [1, 1, 1]


def test_equal_neighbouring_pos_tags_merge() -> None:
    # Gold: NOUN 0-1, VERB 2; predicted: NOUN 0, VERB 1-2. Two of three words are right, no span is.
    assert _counts("xtreme_pos_f1", "NOUN NOUN VERB", "NOUN VERB VERB") == (0, 2, 2)
    gold, guess = [("NOUN", "NOUN", "VERB")], [("NOUN", "VERB", "VERB")]
    assert find_metric("token_accuracy").score(gold, guess) == pytest.approx(200 / 3)


def test_sconj_is_not_cconj() -> None:
    assert _counts("xtreme_pos_f1", "CCONJ NOUN", "SCONJ NOUN") == (1, 2, 2)
    assert find_metric("xtreme_pos_f1").score([("CCONJ", "NOUN")], [("SCONJ", "NOUN")]) == 50.0
    # seqeval 1.x strips the first letter: the same mistake goes unseen.
    assert _counts("tag_f1", "CCONJ NOUN", "SCONJ NOUN") == (2, 2, 2)


def test_the_letter_s_makes_spans_of_one_word() -> None:
    assert _counts("xtreme_pos_f1", "SCONJ SCONJ", "SCONJ SCONJ") == (2, 2, 2)
    assert _counts("xtreme_pos_f1", "SYM SYM NUM", "SYM NUM NUM") == (1, 2, 3)


def test_sentence_lengths_must_agree() -> None:
    with pytest.raises(AssertionError, match="1 tags for 2 words"):
        _counts("tag_f1", "O O", "O")


def test_a_sentence_begins_behind_the_separating_o() -> None:
    # seqeval, flat: `O B-PER O X B-PER O`. A bare X has the type `_`, which `O` has too: it opens no span, and the one
    # that ends before the last B-PER begins where PER began, at word 1; in the prediction nothing was opened before: 0.
    gold, guess = [["O", "B-PER"], ["X", "B-PER"]], [["O", "O"], ["X", "B-PER"]]
    assert find_metric("tag_f1").score(gold, guess) == 40.0
    # In the first sentence nothing stands before, and X opens a span.
    assert _counts("tag_f1", "X B-PER", "X B-PER") == (2, 2, 2)


@st.composite
def _tagged(draw: st.DrawFn) -> tuple[list[list[str]], list[list[str]]]:
    tag = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-ORG", "I-A-B", "X", "X-", "."])
    lengths = draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    sentence = [st.lists(tag, min_size=n, max_size=n) for n in lengths]
    return [draw(s) for s in sentence], [draw(s) for s in sentence]


@given(_tagged())
def test_equal_to_seqeval(sentences: tuple[list[list[str]], list[list[str]]]) -> None:
    gold, guess = sentences
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        official = [getattr(seqeval.metrics, f"{part}_score")(gold, guess) * 100 for part in PARTS]
    assert [find_metric(f"tag_{part}").score(gold, guess) for part in PARTS] == official
