"""Exact nearest neighbours by inner product, block by block, with ties broken by the lower index."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

# Q queries, C candidates, H hidden size, k neighbours.

_QUERY_BLOCK = 512
_CANDIDATE_BLOCK = 1 << 16


def rank(query_QH: Tensor, candidate_CH: Tensor, k: int) -> Tensor:
    """Indices of the `k` nearest candidates by cosine, best first: int64 [Q, min(k, C)], on the queries' device."""
    return nearest(unit(query_QH), unit(candidate_CH), k)[1]


def unit(vectors_NH: Tensor) -> Tensor:
    """Rows of length 1 in fp32; a zero row stays zero."""
    return normalize(vectors_NH.float(), dim=-1)


def nearest(query_QH: Tensor, candidate_CH: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Inner products fp32 [Q, min(k, C)] and indices int64 [Q, min(k, C)] of the nearest candidates, best first.

    Products are summed in fp64 and rounded to fp32: equal candidates then score equally wherever they stand, whatever
    kernel their block gets (in fp32 the last bit depends on it), and the lower index wins as promised.
    """
    assert query_QH.dim() == candidate_CH.dim() == 2 and query_QH.shape[1] == candidate_CH.shape[1]
    assert bool(query_QH.isfinite().all()) and bool(candidate_CH.isfinite().all()), "vectors hold NaN or infinity"
    blocks = torch.split(query_QH, _QUERY_BLOCK)
    scores, indices = zip(*(_nearest_of_block(block_QH.double(), candidate_CH, k) for block_QH in blocks), strict=True)
    return torch.cat(scores), torch.cat(indices)


def _nearest_of_block(query_QH: Tensor, candidate_CH: Tensor, k: int) -> tuple[Tensor, Tensor]:
    best_Qk = query_QH.new_empty((len(query_QH), 0), dtype=torch.float32)
    index_Qk = query_QH.new_empty((len(query_QH), 0), dtype=torch.int64)
    for start in range(0, len(candidate_CH), _CANDIDATE_BLOCK):
        block_CH = candidate_CH[start : start + _CANDIDATE_BLOCK]
        score_Qk, place_Qk = _top(_product(query_QH, block_CH), k)
        best_Qk = torch.cat([best_Qk, score_Qk], dim=1)
        index_Qk = torch.cat([index_Qk, place_Qk + start], dim=1)
        best_Qk, order_Qk = best_Qk.sort(dim=1, descending=True, stable=True)
        best_Qk, index_Qk = best_Qk[:, :k], index_Qk.gather(1, order_Qk)[:, :k]
    return best_Qk, index_Qk


def _product(query_QH: Tensor, candidate_CH: Tensor) -> Tensor:
    return (query_QH @ candidate_CH.double().T).float()


def _top(score_QC: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of every row, equal ones by column; `torch.topk` alone picks any among those equal to the last."""
    k = min(k, score_QC.shape[1])
    values_Qk, columns_Qk = score_QC.topk(k, dim=1)
    last_Q1 = values_Qk[:, -1:]
    tied_Q = (score_QC == last_Q1).sum(dim=1) > (values_Qk == last_Q1).sum(dim=1)
    if bool(tied_Q.any()):
        columns_Qk[tied_Q] = score_QC[tied_Q].argsort(dim=1, descending=True, stable=True)[:, :k]
    columns_Qk = columns_Qk.sort(dim=1).values
    values_Qk, order_Qk = score_QC.gather(1, columns_Qk).sort(dim=1, descending=True, stable=True)
    return values_Qk, columns_Qk.gather(1, order_Qk)
