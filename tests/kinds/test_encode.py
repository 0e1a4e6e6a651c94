from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xstilts.core.errors import UserError
from xstilts.kinds import (
    CHOICE,
    MLM,
    PAIR,
    RANKING,
    SPAN,
    TAGGING,
    Answer,
    ChoiceExample,
    Example,
    Kind,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from xstilts.kinds.feature import NO_LABEL, Encoding, Feature, truncate
from xstilts.kinds.features import Features
from xstilts.text.tokenizer import Tokenizer

KINDS: dict[type, Kind[Any]] = {kind.example_type: kind for kind in (PAIR, CHOICE, SPAN, TAGGING, MLM, RANKING)}
Ids = Callable[[str], list[int]]
S, E = 0, 2
"""`<s>` and `</s>`."""


def encoding(tokenizer: Tokenizer, max_length: int = 64, doc_stride: int = 4, labels: tuple[str, ...] = ()) -> Encoding:
    return Encoding(tokenizer, max_length, doc_stride, {label: i for i, label in enumerate(labels)})


def encode(example: Example, encoding: Encoding) -> Feature:
    return KINDS[type(example)].encode(example, encoding)


def test_pair(tokenizer: Tokenizer, ids: Ids) -> None:
    feature = encode(PairExample("1", "ab", "c d", "no"), encoding(tokenizer, labels=("yes", "no")))
    assert feature.tokens == [S, *ids("ab"), E, E, *ids("c d"), E]
    assert (feature.lengths, feature.positions, feature.targets) == ([8], [0], [1])
    assert (feature.num_targets, feature.num_cut) == (1, 0)


def test_one_text_and_no_label(tokenizer: Tokenizer, ids: Ids) -> None:
    feature = encode(PairExample("1", "ab", None, None), encoding(tokenizer))
    assert (feature.tokens, feature.targets) == ([S, *ids("ab"), E], [NO_LABEL])


def test_pair_is_truncated_longest_first(tokenizer: Tokenizer, ids: Ids) -> None:
    # room for 10 - 4 = 6 of 8 + 2 tokens: all four come off the first
    feature = encode(PairExample("1", "abcdefgh", "xy", None), encoding(tokenizer, 10))
    assert feature.tokens == [S, *ids("abcd"), E, E, *ids("xy"), E]
    assert feature.num_cut == 4


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_truncation_is_one_token_at_a_time_off_the_longer(first: int, second: int, room: int) -> None:
    a, b = first, second
    while a + b > room:
        a, b = (a - 1, b) if a > b else (a, b - 1)
    assert truncate(list(range(first)), list(range(second)), room) == (list(range(a)), list(range(b)))


def test_choice_has_a_segment_per_option(tokenizer: Tokenizer, ids: Ids) -> None:
    example = ChoiceExample("1", "ab", "q", ("x", "yz"), 1)
    feature = encode(example, encoding(tokenizer))
    first = [S, *ids("ab"), E, E, *ids("q x"), E]
    second = [S, *ids("ab"), E, E, *ids("q yz"), E]
    assert feature.tokens == first + second
    assert (feature.lengths, feature.positions, feature.targets) == ([8, 9], [0, 8], [1])


def test_choice_without_question_counts_what_every_option_loses(tokenizer: Tokenizer, ids: Ids) -> None:
    # room for 8 - 4 = 4: "abcd" and one letter lose one token, and two letters lose two
    feature = encode(ChoiceExample("1", "abcd", "", ("x", "xy"), None), encoding(tokenizer, 8))
    assert feature.tokens == [S, *ids("abc"), E, E, *ids("x"), E, S, *ids("ab"), E, E, *ids("xy"), E]
    assert (feature.num_cut, feature.targets) == (3, [NO_LABEL])


CONTEXT = "abcdefghij"
"""One word of ten letters: token i is letter i."""


def span(context: str = CONTEXT, *answers: Answer, question: str = "q") -> SpanExample:
    return SpanExample("1", question, context, answers)


def test_span_in_one_window(tokenizer: Tokenizer, ids: Ids) -> None:
    feature = encode(span(CONTEXT, Answer("cde", 2), Answer("a", 0)), encoding(tokenizer))
    assert feature.tokens == [S, *ids("q"), E, E, *ids(CONTEXT), E]
    # the context begins at position 4: letters 2 to 4 are positions 6 to 8
    assert (feature.lengths, feature.targets, feature.num_targets) == ([15], [6, 8], 1)
    assert feature.starts == [-1] * 4 + list(range(10)) + [-1]
    assert feature.ends == [-1] * 4 + list(range(1, 11)) + [-1]


def test_span_windows_and_an_answer_cut_by_their_edge(tokenizer: Tokenizer, ids: Ids) -> None:
    # room for 11 - 1 - 4 = 6 context tokens, windows from 0, 4 and so on: [0, 6) and [4, 10)
    feature = encode(span(CONTEXT, Answer("efg", 4)), encoding(tokenizer, 11))
    assert feature.lengths == [11, 11]
    assert feature.tokens[5:9] == ids(CONTEXT)[1:5]
    # in the first window "efg" loses its end: no answer there. In the second it is tokens 0 to 2 after 4 others
    assert feature.targets == [0, 0, 4, 6]
    assert (feature.num_targets, feature.positions) == (2, [0, 11])
    assert feature.starts[11 + 4 : 11 + 10] == [4, 5, 6, 7, 8, 9]


def test_no_window_without_need(tokenizer: Tokenizer) -> None:
    assert encode(span("abcdef"), encoding(tokenizer, 11)).lengths == [11]
    assert encode(span("abcdefg"), encoding(tokenizer, 11)).lengths == [11, 8]


def test_an_answer_that_starts_inside_a_token_takes_it_whole(tokenizer: Tokenizer) -> None:
    # the token of "c" covers the space before it, [2, 4); the answer "c" is [3, 4)
    assert encode(span("ab c", Answer("c", 3)), encoding(tokenizer)).targets == [6, 6]


def test_unanswerable_and_empty_context(tokenizer: Tokenizer) -> None:
    assert encode(span(), encoding(tokenizer)).targets == [0, 0]
    feature = encode(span(""), encoding(tokenizer))
    assert (feature.lengths, feature.targets) == ([5], [0, 0])


def test_question_is_cut_to_64(tokenizer: Tokenizer) -> None:
    feature = encode(span(question="q" * 70), encoding(tokenizer, 100))
    assert (feature.lengths, feature.num_cut) == ([64 + 4 + 10], 6)


def test_no_room_for_windows(tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match=r"data\.max_length 9 leaves 4 context tokens, not more than data\.doc_stride"):
        encode(span(), encoding(tokenizer, 9))


def test_one_window_of_several(tokenizer: Tokenizer, ids: Ids) -> None:
    whole = encode(span(CONTEXT, Answer("efg", 4)), encoding(tokenizer, 11))
    first, second = SPAN.windows(Features.of([whole, whole]), np.array([0, 1])).each()
    assert (first.tokens, first.lengths) == (whole.tokens[:11], [11])
    assert second.tokens == [S, *ids("q"), E, E, *ids(CONTEXT)[4:], E]
    assert (second.lengths, second.positions, second.targets, second.num_targets) == ([11], [0], [4, 6], 1)


def test_tags_stand_on_first_subwords(tokenizer: Tokenizer, ids: Ids) -> None:
    example = TaggingExample("1", ("abc", "d", "ef"), ("X", "Y", "new"))
    feature = encode(example, encoding(tokenizer, labels=("X", "Y")))
    assert feature.tokens == [S, *ids("abc d ef"), E]
    assert (feature.positions, feature.targets, feature.num_targets) == ([1, 4, 5], [0, 1, NO_LABEL], 2)


def test_a_long_sentence_goes_on_in_another_segment(tokenizer: Tokenizer, ids: Ids) -> None:
    # room for 6 - 2 = 4: "abc" and "d", then "ef", then "ghijk" cut to four
    example = TaggingExample("1", ("abc", "d", "ef", "ghijk"), ("X",) * 4)
    feature = encode(example, encoding(tokenizer, 6, labels=("X",)))
    assert feature.tokens == [S, *ids("abc d"), E, S, *ids("ef"), E, S, *ids("ghij"), E]
    assert feature.lengths == [6, 4, 6]
    assert feature.positions == [1, 4, 7, 11]
    assert (feature.targets, feature.num_targets, feature.num_cut) == ([0] * 4, 4, 1)


def test_untagged_sentence(tokenizer: Tokenizer) -> None:
    feature = encode(TaggingExample("1", ("a", "b"), None), encoding(tokenizer, labels=("X",)))
    assert (feature.positions, feature.targets, feature.num_targets) == ([1, 2], [NO_LABEL] * 2, 0)


def test_text_and_retrieval(tokenizer: Tokenizer, ids: Ids) -> None:
    text = encode(TextExample("1", "abcdefg"), encoding(tokenizer, 6))
    assert (text.tokens, text.lengths, text.num_cut) == ([S, *ids("abcd"), E], [6], 3)
    query = encode(RetrievalExample("1", "query", "ab"), encoding(tokenizer))
    assert (query.tokens, query.positions) == ([S, *ids("ab"), E], [0])
    both = encode(RetrievalExample("1", "candidate", "ab", "cd"), encoding(tokenizer))
    assert both.tokens == [S, *ids("ab"), E, E, *ids("cd"), E]


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        (PAIR, PairExample("1", "a", None, "X")),
        (CHOICE, ChoiceExample("1", "a", "b", ("c", "d"), 0)),
        (SPAN, span(CONTEXT, Answer("a", 0), Answer("b", 1))),
        (TAGGING, TaggingExample("1", ("a",), ("X",))),
        (TAGGING, TaggingExample("1", ("a",), None)),
        (MLM, TextExample("1", "a")),
        (RANKING, RetrievalExample("1", "query", "a", relevant=("x", "y"))),
    ],
)
def test_an_example_comes_back_from_its_fields(kind: Kind[Any], example: Example) -> None:
    assert kind.restore(json.loads(json.dumps(asdict(example)))) == example
