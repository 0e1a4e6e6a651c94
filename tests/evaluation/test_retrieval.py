from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xstilts.evaluation import retrieval
from xstilts.evaluation.retrieval import nearest, rank

X, Y = [1.0, 0.0], [0.0, 1.0]


def test_ranks_by_cosine_not_by_length() -> None:
    candidates = torch.tensor([[0.1, 0.1], [0.0, 9.0], [3.0, 0.0]])
    assert rank(torch.tensor([[2.0, 0.0]]), candidates, 3).tolist() == [[2, 0, 1]]


def test_ties_go_to_the_lower_index() -> None:
    candidates = torch.tensor([X, Y, Y, X])
    assert rank(torch.tensor([Y, X]), candidates, 4).tolist() == [[1, 2, 0, 3], [0, 3, 1, 2]]
    assert rank(torch.tensor([Y]), torch.tensor([Y] * 1000), 3).tolist() == [[0, 1, 2]]


def test_fewer_candidates_than_asked_for() -> None:
    assert rank(torch.tensor([X]), torch.tensor([Y, X]), 20).tolist() == [[1, 0]]


def test_equal_candidates_tie_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_CANDIDATE_BLOCK", 97)
    generator = torch.Generator().manual_seed(0)
    candidates = torch.randn(331, 768, generator=generator)
    candidates[[5, 100, 330]] = candidates[200].clone()
    assert rank(candidates[200:201], candidates, 4).tolist() == [[5, 100, 200, 330]]


def test_nan_is_refused() -> None:
    with pytest.raises(AssertionError, match="NaN"):
        rank(torch.tensor([[float("nan"), 0.0]]), torch.tensor([X]), 1)


@given(
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=12),
    st.integers(1, 6),
)
def test_equal_to_sorting_everything(queries: list[tuple[int, int]], candidates: list[tuple[int, int]], k: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "_CANDIDATE_BLOCK", 3)
        patch.setattr(retrieval, "_QUERY_BLOCK", 2)
        scores, indices = nearest(torch.tensor(queries).float(), torch.tensor(candidates).float(), k)
    for (a, b), row_scores, row in zip(queries, scores.tolist(), indices.tolist(), strict=True):
        products = [a * c + b * d for c, d in candidates]
        expected = sorted(range(len(candidates)), key=lambda i: (-products[i], i))[:k]
        assert row == expected
        assert row_scores == [products[i] for i in expected]
