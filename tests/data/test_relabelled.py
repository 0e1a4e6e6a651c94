"""Targets that say nothing about their examples, kind by kind, as a pure function of key and row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest

from xstilts.data.relabelled import relabelled
from xstilts.data.store import FeatureSet
from xstilts.kinds import (
    CHOICE,
    PAIR,
    SPAN,
    SPAN_OR_NONE,
    TAGGING,
    Answer,
    ChoiceExample,
    PairExample,
    SpanExample,
    TaggingExample,
)
from xstilts.kinds.feature import NO_LABEL
from xstilts.kinds.relabelling import Relabelling

Features = Callable[..., FeatureSet]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
STRIDE = 4
"""Of the fixture's windows."""


def control(
    stored: FeatureSet, kind: Any, scheme: Literal["shuffled", "random"], classes: int = 0, key: int = 3
) -> FeatureSet:
    return relabelled(stored, kind, Relabelling(scheme, classes, STRIDE), key)


def targets(stored: FeatureSet, rows: Sequence[int] | None = None) -> list[list[int]]:
    return [feature.targets for feature in stored.load(range(len(stored)) if rows is None else rows)]


@pytest.fixture
def pairs(features: Features) -> FeatureSet:
    examples = [PairExample(f"q{i}", "a", "b", "XXY"[i % 3]) for i in range(90)]
    return features("qqp", examples, ("X", "Y", "Z"))


def test_a_control_is_a_pure_function_of_key_and_row(pairs: FeatureSet) -> None:
    for scheme in ("shuffled", "random"):
        one = control(pairs, PAIR, scheme, 3)
        whole = targets(one)
        again = control(pairs, PAIR, scheme, 3)
        assert targets(again, [7, 80, 3, 7]) == [whole[7], whole[80], whole[3], whole[7]]
        assert targets(again, []) == []
        other = control(pairs, PAIR, scheme, 3, key=4)
        assert targets(other) != whole
        assert len({stored.fingerprint for stored in (pairs, one, other)}) == 3
        assert one.fingerprint == again.fingerprint
        assert [feature.tokens for feature in one.load([5, 6])] == [feature.tokens for feature in pairs.load([5, 6])]


def test_shuffled_labels_keep_their_distribution_and_lose_their_texts(pairs: FeatureSet) -> None:
    shuffled = targets(control(pairs, PAIR, "shuffled", 3))
    assert Counter(map(tuple, shuffled)) == {(0,): 60, (1,): 30}
    # 60 x 2/3 + 30 x 1/3 of 90 stay by chance; 4.5 are a standard deviation of it
    assert 32 < sum(a == b for a, b in zip(shuffled, targets(pairs), strict=True)) < 68


def test_random_labels_are_drawn_uniformly_from_the_whole_set(pairs: FeatureSet) -> None:
    counts = Counter(target for (target,) in targets(control(pairs, PAIR, "random", 3)))
    assert set(counts) == {0, 1, 2}
    assert all(15 < count < 45 for count in counts.values())


def test_options_are_shuffled_among_examples_with_as_many(features: Features) -> None:
    # the last option is right: one that most other examples do not have
    sizes = [2, 3, 4] * 20
    examples = [ChoiceExample(f"c{i}", "a", "", tuple(LETTERS[:n]), n - 1 - i % 2) for i, n in enumerate(sizes)]
    stored = features("copa", examples)
    shuffled = [target for (target,) in targets(control(stored, CHOICE, "shuffled"))]
    gold = [target for (target,) in targets(stored)]
    for n in (2, 3, 4):
        here = [i for i, size in enumerate(sizes) if size == n]
        assert Counter(shuffled[i] for i in here) == Counter(gold[i] for i in here) == {n - 1: 10, n - 2: 10}
        assert [shuffled[i] for i in here] != [gold[i] for i in here]
        random = [target for (target,) in targets(control(stored, CHOICE, "random"))]
        assert {random[i] for i in here} == set(range(n))


def test_tags_are_shuffled_within_their_sentence(features: Features) -> None:
    words = tuple(LETTERS[:8])
    examples = [TaggingExample(f"t{i}", words, ("A", "B", "C", "D", "A", "A", "A", "?")) for i in range(12)]
    stored = features("udpos", examples, ("A", "B", "C", "D", "E"))
    shuffled = targets(control(stored, TAGGING, "shuffled", 5))
    assert all(sorted(found) == [NO_LABEL, 0, 0, 0, 0, 1, 2, 3] and found[7] == NO_LABEL for found in shuffled)
    assert len({tuple(found) for found in shuffled}) > 6, "each sentence in an order of its own"
    random = targets(control(stored, TAGGING, "random", 5))
    assert all(found[7] == NO_LABEL for found in random)
    assert {tag for found in random for tag in found[:7]} == {0, 1, 2, 3, 4}


def places(stored: FeatureSet) -> list[list[tuple[int, int] | None]]:
    """Where each question's answer lies in the context, in tokens, as each of its windows has it. The question is one
    token: `<s> q </s></s>` is 4 before the context."""
    found = []
    for feature in stored.load(range(len(stored))):
        assert feature.num_targets == len(feature.lengths) == len(feature.targets) // 2
        spans: list[tuple[int, int] | None] = []
        for window in range(len(feature.lengths)):
            start, end = feature.targets[2 * window : 2 * window + 2]
            assert start == end == 0 or 4 <= start <= end < feature.lengths[window] - 1, "inside the context"
            spans.append((start - 4 + STRIDE * window, end - 4 + STRIDE * window) if start else None)
        found.append(spans)
    return found


@pytest.mark.parametrize("scheme", ["shuffled", "random"])
def test_an_answer_goes_to_a_random_place_of_its_context(
    features: Features, scheme: Literal["shuffled", "random"]
) -> None:
    # 26 letters at 20 tokens a segment: room 15, windows from 0, 4, 8 and 12
    examples = [SpanExample(f"s{i}", "q", LETTERS, (Answer(LETTERS[: i % 5 + 1], 0),)) for i in range(60)]
    found = places(control(features("squad_v1", examples, max_length=20), SPAN, scheme))
    starts = set()
    for i, spans in enumerate(found):
        (span,) = {span for span in spans if span is not None}
        assert span[1] - span[0] + 1 == i % 5 + 1, "as long as the answer that it has"
        starts.add(span[0])
        for window, there in enumerate(spans):
            held = 4 * window <= span[0] and span[1] < min(4 * window + 15, 26)
            assert (there is not None) == held, "in every window that holds it whole, and in no other"
    assert len(starts) > 15


def test_which_questions_have_an_answer_is_taken_away_too(features: Features) -> None:
    answers = [(Answer("abc"[: i % 3 + 1], 0),) if i < 30 else () for i in range(60)]
    examples = [SpanExample(f"s{i}", "q", LETTERS[:9], given) for i, given in enumerate(answers)]
    found = places(control(features("squad_v2", examples), SPAN_OR_NONE, "shuffled"))
    sizes = [span[1] - span[0] + 1 if span else 0 for (span,) in found]
    assert Counter(sizes) == {0: 30, 1: 10, 2: 10, 3: 10}
    # 15 by chance, 2.8 a standard deviation
    assert 7 <= sum(size > 0 for size in sizes[:30]) <= 23
