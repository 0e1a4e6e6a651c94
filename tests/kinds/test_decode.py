"""Predictions from scores written by hand."""

from __future__ import annotations

import torch

from xstilts.kinds.feature import Feature
from xstilts.kinds.span import MAX_ANSWER_TOKENS
from xstilts.tasks import find_task

INF = float("inf")
CONTEXT = " ".join(f"w{i:02}" for i in range(40))
"""Words of three characters: word i is [4 i, 4 i + 3)."""


def windows(*spans: tuple[int, int]) -> Feature:
    """`<s> q </s></s> words </s>` per window, one token a word, windows given by first word and end."""
    feature = Feature("q", [], [], example={"context": CONTEXT})
    for first, end in spans:
        words = range(first, end)
        feature.starts += [-1] * 4 + [4 * i for i in words] + [-1]
        feature.ends += [-1] * 4 + [4 * i + 3 for i in words] + [-1]
        feature.lengths.append(5 + len(words))
    return feature


def answers(task: str, feature: Feature, starts: list[dict[int, float]], ends: list[dict[int, float]]) -> str:
    """The answer of one feature; scores are 0 but for those given per window and token, -inf behind a window."""
    longest = max(feature.lengths)
    scores = torch.full((2, len(feature.lengths), longest), -INF)
    for side, given in enumerate((starts, ends)):
        for window, length in enumerate(feature.lengths):
            scores[side, window, :length] = 0
            for token, score in given[window].items():
                scores[side, window, token] = score
    (answer,) = find_task(task).kind.decode([feature], scores, None)
    return answer


def test_the_best_span_has_its_end_behind_its_start() -> None:
    # Word 5 is token 9. The end of highest score stands before the start and cannot be taken.
    assert answers("squad_v1", windows((0, 20)), [{9: 5.0}], [{6: 9.0, 11: 5.0}]) == "w05 w06 w07"


def test_a_span_has_at_most_thirty_tokens() -> None:
    whole = windows((0, 40))
    assert MAX_ANSWER_TOKENS == 30
    assert answers("squad_v1", whole, [{4: 5.0}], [{33: 5.0}]) == CONTEXT[: 30 * 4 - 1]
    # The 31st token is out of reach: its end score is lost, and among ends of score 0 the nearest wins.
    assert answers("squad_v1", whole, [{4: 5.0}], [{34: 4.0}]) == "w00"


def test_question_and_specials_are_never_the_answer() -> None:
    assert answers("squad_v1", windows((0, 3)), [{0: 9.0, 1: 9.0, 5: 1.0}], [{0: 9.0, 7: 9.0, 6: 1.0}]) == "w01 w02"


def test_the_best_of_several_windows_wins_and_the_earliest_among_equals() -> None:
    two = windows((0, 10), (8, 18))
    assert answers("squad_v1", two, [{5: 3.0}, {6: 4.0}], [{5: 3.0}, {6: 4.0}]) == "w10"
    assert answers("squad_v1", two, [{5: 3.0}, {6: 3.0}], [{5: 3.0}, {6: 3.0}]) == "w01"


def test_equal_spans_of_a_window_go_to_the_earliest_and_shortest() -> None:
    assert answers("squad_v1", windows((0, 10)), [{}], [{}]) == "w00"
    assert answers("squad_v1", windows((0, 10)), [{7: 1.0, 9: 1.0}], [{8: 1.0, 9: 1.0}]) == "w03 w04"


def test_no_answer_wins_only_over_a_lower_span_and_only_where_there_may_be_none() -> None:
    one = windows((0, 10))
    span = ([{0: 3.0, 5: 2.0}], [{0: 3.0, 5: 2.0}])  # null 6, best span 4
    assert answers("squad_v2", one, *span) == ""
    assert answers("squad_v1", one, *span) == "w01"
    equal = ([{0: 2.0, 5: 2.0}], [{0: 2.0, 5: 2.0}])
    assert answers("squad_v2", one, *equal) == "w01"


def test_the_null_score_is_the_lowest_over_the_windows() -> None:
    two = windows((0, 10), (8, 18))
    # Null scores 10 and 2 against a best span of 4.
    assert answers("squad_v2", two, [{0: 5.0, 5: 2.0}, {0: 1.0}], [{0: 5.0, 5: 2.0}, {0: 1.0}]) == "w01"
    assert answers("squad_v2", two, [{0: 5.0, 5: 2.0}, {0: 2.5}], [{0: 5.0, 5: 2.0}, {0: 2.5}]) == ""


def test_several_examples_each_take_their_own_windows() -> None:
    features = [windows((0, 3)), windows((0, 3), (3, 6)), windows((6, 9))]
    scores = torch.zeros(2, 4, 8)
    for window, token in enumerate((6, 4, 5, 4)):
        scores[:, window, token] = 1.0 + window
    assert find_task("xquad").kind.decode(features, scores, None) == ["w02", "w04", "w06"]


def test_the_answer_is_cut_from_the_original_text_without_outer_blanks() -> None:
    feature = Feature("q", [], [4], starts=[-1, 0, 2, -1], ends=[-1, 2, 7, -1], example={"context": " a  b  "})
    scores = torch.tensor([[[0.0, 5, 0, 0]], [[0.0, 0, 5, 0]]])
    assert find_task("squad_v1").kind.decode([feature], scores, None) == ["a  b"]


def test_labels_options_and_tags_are_the_best_and_the_first_among_equals() -> None:
    features = [Feature("a", [], []), Feature("b", [], [])]
    scores = torch.tensor([[1.0, 3.0, 3.0], [2.0, 0.0, 2.0]])
    assert find_task("xnli").kind.decode(features, scores, ("x", "y", "z")) == ["y", "x"]
    # The second example has two options only.
    options = torch.tensor([[0.5, 0.25, 0.5], [0.0, 1.0, -INF]])
    assert find_task("xcopa").kind.decode(features, options, None) == [0, 1]


def test_every_word_gets_a_tag_sentence_by_sentence() -> None:
    features = [Feature("a", [], [], positions=[1, 2]), Feature("b", [], []), Feature("c", [], [], positions=[1])]
    scores = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 2.0]])
    assert find_task("udpos").kind.decode(features, scores, ("N", "V")) == [("V", "N"), (), ("V",)]
