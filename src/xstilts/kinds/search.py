"""Exact nearest neighbours by inner product, block by block, with ties broken by the lower index.

Blocks are searched in fp32, which is what a million candidates leave time for; those found are scored again in fp64.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xstilts.distributed import dist

# Q queries, C candidates (of both sides: N rows, C columns), H hidden size, k neighbours, M of the search in fp32.

_QUERY_BLOCK = 512
_CANDIDATE_BLOCK = 1 << 16
_BOTH_BLOCK = 1 << 12
"""Rows and columns of a block whose products both sides search."""
_FEW = 64
"""Where less than one score of so many is above the worst that is kept, those are picked."""
_RESCORED_BLOCK = 64
"""Queries whose candidates are scored again at once: what they need stays in the processor's cache."""
_SLACK = 12
"""So many more than k are found in fp32."""
_ROUNDING = 2.0**-24
"""Largest relative error of one operation in fp32."""


def rank(query_QH: Tensor, candidate_CH: Tensor, k: int) -> Tensor:
    """Indices of the `k` nearest candidates by cosine, best first: int64 [Q, min(k, C)], on the queries' device."""
    return nearest(unit(query_QH), unit(candidate_CH), k)[1]


def unit(vectors_NH: Tensor) -> Tensor:
    """Rows of length 1 in fp32; a zero row stays zero."""
    return normalize(vectors_NH.float(), dim=-1)


def nearest(query_QH: Tensor, candidate_CH: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Inner products fp32 [Q, min(k, C)] and indices int64 [Q, min(k, C)] of the nearest candidates, best first.

    Products are summed in fp64 and rounded to fp32: equal candidates then score equally wherever they stand, whatever
    kernel their block gets (in fp32 the last bit depends on it), and the lower index wins as promised. The search in
    fp32 hides none of them: a query for which its error could matter is searched again in fp64.
    """
    assert query_QH.dim() == candidate_CH.dim() == 2 and query_QH.shape[1] == candidate_CH.shape[1]
    assert bool(query_QH.isfinite().all()) and bool(candidate_CH.isfinite().all()), "vectors hold NaN or infinity"
    found = (_search(block_QH, candidate_CH, k + _SLACK) for block_QH in query_QH.split(_QUERY_BLOCK))
    rough_QM, index_QM = map(torch.cat, zip(*found, strict=True))
    return _rescore(query_QH, candidate_CH, rough_QM, index_QM, k)


def nearest_both(one_NH: Tensor, other_CH: Tensor, k: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """What `nearest` gives for the rows of one among those of the other, and for those of the other among those of one,
    from a single product of the two."""
    sides = one_NH, other_CH
    assert one_NH.dim() == other_CH.dim() == 2 and one_NH.shape[1] == other_CH.shape[1]
    assert all(bool(side.isfinite().all()) for side in sides), "vectors hold NaN or infinity"
    sizes = [min(k + _SLACK, len(against)) for against in reversed(sides)]
    best = [side.new_full((len(side), size), float("-inf")) for side, size in zip(sides, sizes, strict=True)]
    index = [torch.zeros(rough.shape, dtype=torch.int64, device=rough.device) for rough in best]
    for row, column in product(range(0, len(one_NH), _BOTH_BLOCK), range(0, len(other_CH), _BOTH_BLOCK)):
        dist.progress()
        score_RC = one_NH[row : row + _BOTH_BLOCK] @ other_CH[column : column + _BOTH_BLOCK].T
        for side, (start, offset) in enumerate(((row, column), (column, row))):
            rows = slice(start, start + score_RC.shape[side])
            found, place = _beating(score_RC, best[side][rows].min(dim=1).values, sizes[side], side)
            together = torch.cat([best[side][rows], found], dim=1)
            best[side][rows], order = together.topk(sizes[side], dim=1)
            index[side][rows] = torch.cat([index[side][rows], place + offset], dim=1).gather(1, order)
    forward = _rescore(one_NH, other_CH, best[0], index[0], k)
    return forward, _rescore(other_CH, one_NH, best[1], index[1], k)


def _beating(score_RC: Tensor, least: Tensor, num: int, side: int) -> tuple[Tensor, Tensor]:
    """Of each row (side 0) or column (side 1) the scores above its `least`, unordered: [n, widest], filled up with
    -inf, and their places on the other side. At most the `num` best: where many scores are above, as they are at first,
    these are cheaper to find."""
    above_RC = score_RC > (least[:, None] if side == 0 else least)
    if int(above_RC.count_nonzero()) > score_RC.numel() // _FEW:
        score = score_RC if side == 0 else score_RC.T.contiguous()
        found, place = score.topk(min(num, score.shape[1]), dim=1)
        return found, place
    row_K, column_K = above_RC.nonzero(as_tuple=True)
    own_K, other_K = (row_K, column_K) if side == 0 else (column_K, row_K)
    own_K, order_K = own_K.sort(stable=True)
    counts = own_K.bincount(minlength=score_RC.shape[side])
    nth_K = torch.arange(len(own_K), device=own_K.device) - (counts.cumsum(0) - counts)[own_K]
    found = score_RC.new_full((len(counts), int(counts.max())), float("-inf"))
    place = torch.zeros(found.shape, dtype=torch.int64, device=found.device)
    found[own_K, nth_K] = score_RC[row_K, column_K][order_K]
    place[own_K, nth_K] = other_K[order_K]
    return found, place


def _rescore(
    query_QH: Tensor, candidate_CH: Tensor, rough_QM: Tensor, index_QM: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """What `nearest` promises, from the best candidates by products in fp32."""
    # A sum of H products is off by at most H roundings of |q| |c|, in any order; the other half is for rounding fp64's.
    bound = 2 * query_QH.shape[1] * _ROUNDING * _norms(candidate_CH).max()
    pieces = (each.split(_RESCORED_BLOCK) for each in (query_QH, rough_QM, index_QM))
    blocks = [
        _rescore_block(query, candidate_CH, rough, index, k, bound) for query, rough, index in zip(*pieces, strict=True)
    ]
    scores, indices = zip(*blocks, strict=True)
    return torch.cat(scores), torch.cat(indices)


def _rescore_block(
    query_QH: Tensor, candidate_CH: Tensor, rough_QM: Tensor, index_QM: Tensor, k: int, bound: Tensor
) -> tuple[Tensor, Tensor]:
    error_Q = bound * _norms(query_QH)
    best_left_out_Q = rough_QM.min(dim=1).values.double() + error_Q
    num_found = rough_QM.shape[1]
    # Those that are beaten by k others whatever the error: not worth scoring again.
    rough_QM, order_QM = rough_QM.sort(dim=1, descending=True)
    kth_Q1 = rough_QM[:, min(k, num_found) - 1, None].double()
    num_open = int((rough_QM.double() >= kth_Q1 - 2 * error_Q[:, None]).sum(dim=1).max())
    index_QM = index_QM.gather(1, order_QM[:, :num_open]).sort(dim=1).values
    # Not a matrix product, which need not add up equal rows alike.
    score_QM = (query_QH.double().unsqueeze(1) * candidate_CH[index_QM].double()).sum(dim=2).float()
    score_QM, order_QM = score_QM.sort(dim=1, descending=True, stable=True)
    score_Qk, index_Qk = score_QM[:, :k], index_QM.gather(1, order_QM)[:, :k]
    if num_found < len(candidate_CH):
        open_Q = score_Qk[:, -1] <= best_left_out_Q
        if bool(open_Q.any()):
            score_Qk[open_Q], index_Qk[open_Q] = _search_fp64(query_QH[open_Q], candidate_CH, k)
    return score_Qk, index_Qk


def _search(query_QH: Tensor, candidate_CH: Tensor, num: int) -> tuple[Tensor, Tensor]:
    """Inner products in fp32 and indices [Q, min(num, C)] of the nearest candidates, unordered, any of ties."""
    best_QM = query_QH.new_empty((len(query_QH), 0))
    index_QM = query_QH.new_empty((len(query_QH), 0), dtype=torch.int64)
    for start in range(0, len(candidate_CH), _CANDIDATE_BLOCK):
        dist.progress()
        score_QC = query_QH @ candidate_CH[start : start + _CANDIDATE_BLOCK].T
        score_QM, place_QM = score_QC.topk(min(num, score_QC.shape[1]), dim=1)
        best_QM = torch.cat([best_QM, score_QM], dim=1)
        index_QM = torch.cat([index_QM, place_QM + start], dim=1)
        best_QM, order_QM = best_QM.topk(min(num, best_QM.shape[1]), dim=1)
        index_QM = index_QM.gather(1, order_QM)
    return best_QM, index_QM


def _search_fp64(query_QH: Tensor, candidate_CH: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """What `nearest` promises, at the price of fp64."""
    query_QH = query_QH.double()
    best_Qk = query_QH.new_empty((len(query_QH), 0), dtype=torch.float32)
    index_Qk = query_QH.new_empty((len(query_QH), 0), dtype=torch.int64)
    for start in range(0, len(candidate_CH), _CANDIDATE_BLOCK):
        dist.progress()
        block_CH = candidate_CH[start : start + _CANDIDATE_BLOCK].double()
        score_Qk, place_Qk = _top((query_QH @ block_CH.T).float(), k)
        best_Qk = torch.cat([best_Qk, score_Qk], dim=1)
        index_Qk = torch.cat([index_Qk, place_Qk + start], dim=1)
        best_Qk, order_Qk = best_Qk.sort(dim=1, descending=True, stable=True)
        best_Qk, index_Qk = best_Qk[:, :k], index_Qk.gather(1, order_Qk)[:, :k]
    return best_Qk, index_Qk


def _norms(vectors_NH: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors_NH, dim=1, dtype=torch.float64)


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
