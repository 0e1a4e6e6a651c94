from __future__ import annotations

import pytest
import torch

from xstilts.kinds.margin import Candidate, Sentences, extract, margin_pairs, mine, tune_threshold


def test_ratio_margin_by_hand() -> None:
    # Cosines x1y1 = 1, x1y2 = 0.6, x2y1 = 0, x2y2 = 0.8; with k = 2 the means are x1 0.8, x2 0.4, y1 0.5, y2 0.7.
    source = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    target = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    pairs = margin_pairs(source, target, k=2)
    assert [pair[:2] for pair in pairs] == [(0, 0), (1, 1)]
    assert [pair[2] for pair in pairs] == pytest.approx([1 / 0.65, 0.8 / 0.55])


def test_every_sentence_is_used_once() -> None:
    # Both sources want the only target. Means: x1 1, x2 0.8, y1 0.9; margins 1/0.95 and 0.8/0.85.
    pairs = margin_pairs(torch.tensor([[0.8, 0.6], [1.0, 0.0]]), torch.tensor([[1.0, 0.0]]), k=4)
    assert pairs == [(1, 0, pytest.approx(1 / 0.95))]


def test_margins_at_or_below_zero_are_no_pairs() -> None:
    assert margin_pairs(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), k=1) == []


def _side(prefix: str, texts: list[str], rows: list[list[float]]) -> Sentences:
    return Sentences([f"{prefix}{i}" for i in range(len(texts))], texts, torch.tensor(rows))


def test_repeated_sentences_are_left_out() -> None:
    # s0 and s2 are one sentence, which wins t0, but nobody can say under which id.
    source = _side("s", ["same", "other", "same "], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    target = _side("t", ["gleich", "anders"], [[1.0, 0.0], [0.0, 1.0]])
    assert [candidate.pair for candidate in mine(source, target)] == [("s1", "t1")]


def test_copies_count_once_while_mining() -> None:
    # s1 wins t0 at the margin that it has without copies. Repeated, it still wins, but under no id.
    once = _side("s", ["a", "b"], [[1.0, 0.0], [0.0, 1.0]])
    thrice = _side("s", ["a", "b", "b", "b"], [[1.0, 0.0]] + [[0.0, 1.0]] * 3)
    target = _side("t", ["x"], [[0.6, 0.8]])
    alone = margin_pairs(once.embedding_NH, target.embedding_NH, 4)
    assert mine(thrice, target, k=4) == []
    assert mine(once, target, k=4) == [Candidate(("s1", "t0"), alone[0][2])]


def _candidates(*scores: float) -> list[Candidate]:
    return [Candidate((f"s{i}", f"t{i}"), score) for i, score in enumerate(scores)]


def _right(*indices: int) -> set[tuple[str, str]]:
    return {(f"s{i}", f"t{i}") for i in indices}


def test_threshold_lies_midway_between_neighbours() -> None:
    # F1 after 1, 2, 3 candidates: 2/3, 1, 4/5.
    candidates = _candidates(3.0, 2.0, 1.0)
    assert tune_threshold(candidates, _right(0, 1)) == 1.5
    assert extract(candidates, 1.5) == _right(0, 1)


def test_threshold_when_all_candidates_are_best() -> None:
    # F1: 2/3, 1/2, 4/5; there is no next score to lie midway to.
    candidates = _candidates(3.0, 2.0, 1.0)
    assert tune_threshold(candidates, _right(0, 2)) == 1.0
    assert extract(candidates, 1.0) == _right(0, 1, 2)


def test_equal_scores_stand_and_fall_together() -> None:
    candidates = _candidates(2.0, 2.0, 1.0)
    assert tune_threshold(candidates, _right(0)) == 1.5
    assert extract(candidates, 1.5) == _right(0, 1)


def test_no_right_candidate_keeps_everything() -> None:
    assert tune_threshold(_candidates(2.0, 1.0), {("s9", "t9")}) == 0.0
    assert tune_threshold([], {("s9", "t9")}) == 0.0


def test_equal_cuts_are_told_apart_by_the_official_expression() -> None:
    # Scores 8 to 1, right at ranks 2, 3, 4 and 7 of five golds: F1 is 2/3 after 4 and after 7. By XTREME's expression
    # 2pr/(p+r) it is one bit more after 7: (2 * (4/7) * (4/5)) / (4/7 + 4/5) > (2 * (3/4) * (3/5)) / (3/4 + 3/5).
    candidates = _candidates(8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
    assert tune_threshold(candidates, {*_right(1, 2, 3, 6), ("s9", "t9")}) == 1.5


def test_order_of_candidates_does_not_matter() -> None:
    assert tune_threshold(_candidates(3.0, 2.0, 1.0)[::-1], _right(0, 1)) == 1.5


def test_mines_parallel_sentences_from_noise() -> None:
    generator = torch.Generator().manual_seed(1)
    meaning = torch.randn(60, 32, generator=generator)
    source = meaning[:40] + 0.1 * torch.randn(40, 32, generator=generator)
    target = meaning[20:] + 0.1 * torch.randn(40, 32, generator=generator)
    ids = [str(i) for i in range(60)]
    candidates = mine(Sentences(ids[:40], ids[:40], source), Sentences(ids[20:], ids[20:], target))
    gold = {(id_, id_) for id_ in ids[20:40]}
    assert extract(candidates, tune_threshold(candidates, gold)) == gold
