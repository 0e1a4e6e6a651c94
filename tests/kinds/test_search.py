from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xstilts.kinds import search as retrieval
from xstilts.kinds.search import nearest, rank

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


def plain_fp64(queries: torch.Tensor, candidates: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    products = (queries.double() @ candidates.double().T).float()
    values, order = products.sort(dim=1, descending=True, stable=True)
    return values[:, :k], order[:, :k]


@pytest.mark.parametrize("slack", [0, 4, 32])
def test_equal_to_plain_fp64_among_copies_and_neighbours_that_fp32_cannot_tell_apart(
    monkeypatch: pytest.MonkeyPatch, slack: int
) -> None:
    monkeypatch.setattr(retrieval, "_CANDIDATE_BLOCK", 97)
    monkeypatch.setattr(retrieval, "_QUERY_BLOCK", 8)
    monkeypatch.setattr(retrieval, "_SLACK", slack)
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(30, 512, generator=generator)
    near = centres[:10].repeat(20, 1) * (1 + 1e-7 * torch.randn(200, 512, generator=generator))
    copies = centres[10:20].repeat(20, 1)
    candidates = torch.cat([near, copies, torch.randn(300, 512, generator=generator)])
    candidates = retrieval.unit(candidates[torch.randperm(700, generator=generator)])
    queries = retrieval.unit(centres)
    for k in (1, 4, 20):
        scores, indices = nearest(queries, candidates, k)
        expected_scores, expected = plain_fp64(queries, candidates, k)
        assert torch.equal(indices, expected)
        assert torch.equal(scores, expected_scores)


def test_fp64_searches_again_only_where_fp32_leaves_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []
    search = retrieval._search_fp64
    monkeypatch.setattr(retrieval, "_search_fp64", lambda q, c, k: searched.append(len(q)) or search(q, c, k))
    generator = torch.Generator().manual_seed(2)
    candidates = retrieval.unit(torch.randn(3000, 1024, generator=generator))
    candidates[:50] = candidates[0].clone()  # more than k and the slack hold
    nearest(candidates[1000:1100], candidates, 4)
    assert searched == []
    assert nearest(candidates[49:51], candidates, 4)[1][0].tolist() == [0, 1, 2, 3]
    assert searched == [1]


def test_every_block_counts_as_a_move_for_the_ranks_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[str] = []
    monkeypatch.setattr(retrieval.dist, "progress", lambda: moves.append("moved"))
    monkeypatch.setattr(retrieval, "_CANDIDATE_BLOCK", 10)
    monkeypatch.setattr(retrieval, "_QUERY_BLOCK", 5)
    nearest(torch.eye(20)[:10], torch.eye(20), 1)
    assert len(moves) == 4


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
        patch.setattr(retrieval, "_SLACK", 1)
        scores, indices = nearest(torch.tensor(queries).float(), torch.tensor(candidates).float(), k)
    for (a, b), row_scores, row in zip(queries, scores.tolist(), indices.tolist(), strict=True):
        products = [a * c + b * d for c, d in candidates]
        expected = sorted(range(len(candidates)), key=lambda i: (-products[i], i))[:k]
        assert row == expected
        assert row_scores == [products[i] for i in expected]


@pytest.mark.parametrize("few", [1, 8, 10_000], ids=["picked", "either", "ranked"])
@pytest.mark.parametrize("slack", [0, 32])
def test_both_directions_from_one_product_are_those_of_two(
    monkeypatch: pytest.MonkeyPatch, slack: int, few: int
) -> None:
    monkeypatch.setattr(retrieval, "_FEW", few)
    monkeypatch.setattr(retrieval, "_BOTH_BLOCK", 37)
    monkeypatch.setattr(retrieval, "_SLACK", slack)
    generator = torch.Generator().manual_seed(3)
    one, other = (retrieval.unit(torch.randn(n, 64, generator=generator)) for n in (101, 150))
    other[[7, 70, 149]] = one[20].clone()
    one[[40, 80]] = one[20].clone()
    for k in (1, 4, 120):
        for found, expected in zip(
            retrieval.nearest_both(one, other, k),
            (plain_fp64(one, other, k), plain_fp64(other, one, k)),
            strict=True,
        ):
            assert all(map(torch.equal, found, expected))
