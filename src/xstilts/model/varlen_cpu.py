"""`varlen` on the CPU: the arithmetic of the rectangles, with a backward that draws the masks of the forward again.

Shape suffixes: L tokens of the row, T queries, Q places of these in the rectangles, N heads, D head width; of a
rectangle B segments, M tokens and R queries of each.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from xstilts.model.attention import Rectangles, cut_rectangles
from xstilts.model.dropout import keep_mask


def forward(
    query_TND: Tensor, key_LND: Tensor, value_LND: Tensor, ends_q: Tensor, ends_k: Tensor,
    rate: float, scale: float, rng: Tensor,
) -> Tensor:  # fmt: skip
    """Attention of each segment's queries, [T, N, D]; `rng` seeds its masks."""
    rectangles, _ = _rectangles(ends_q, ends_k)
    if rate == 0:
        return rectangles.attend(query_TND, key_LND, value_LND, scale, rate)
    masks = torch.Generator().manual_seed(int(rng))
    attended = []
    for rectangle, query, key, value in rectangles.gather(query_TND, key_LND, value_LND):
        probabilities = _probabilities(query, key, rectangle.mask_B11M, scale)
        found = (probabilities * keep_mask(probabilities, rate, masks)) @ value
        attended.append(found.transpose(1, 2).flatten(0, 1))
    return torch.cat(attended).index_select(0, rectangles.place_T)


def backward(
    gradient_TND: Tensor, query_TND: Tensor, key_LND: Tensor, value_LND: Tensor, ends_q: Tensor, ends_k: Tensor,
    rate: float, scale: float, rng: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of queries, keys and values. What places of padding get is left behind: for keys, zeros alone."""
    rectangles, place_L = _rectangles(ends_q, ends_k)
    gradient_QND = gradient_TND.new_zeros(len(rectangles.query_Q), *gradient_TND.shape[1:])
    gradient_QND = gradient_QND.index_copy(0, rectangles.place_T, gradient_TND)
    masks = torch.Generator().manual_seed(int(rng))
    found: tuple[list[Tensor], ...] = ([], [], [])
    first = 0
    for rectangle, query, key, value in rectangles.gather(query_TND, key_LND, value_LND):
        size = rectangle.num_rows * rectangle.num_queries
        above = gradient_QND[first : first + size].unflatten(0, (rectangle.num_rows, -1)).transpose(1, 2)
        first += size
        probabilities = _probabilities(query, key, rectangle.mask_B11M, scale)
        below = above @ value.transpose(2, 3)
        kept = probabilities
        if rate:
            mask = keep_mask(probabilities, rate, masks)
            kept, below = probabilities * mask, below * mask
        scores = scale * probabilities * (below - (below * probabilities).sum(-1, keepdim=True))
        for parts, part in zip(
            found, (scores @ key, scores.transpose(2, 3) @ query, kept.transpose(2, 3) @ above), strict=True
        ):
            parts.append(part.transpose(1, 2).flatten(0, 1))
    of_query, of_key, of_value = map(torch.cat, found)
    return (
        of_query.index_select(0, rectangles.place_T),
        of_key.index_select(0, place_L),
        of_value.index_select(0, place_L),
    )


def _probabilities(query_BNRD: Tensor, key_BNMD: Tensor, mask_B11M: Tensor | None, scale: float) -> Tensor:
    scores_BNRM = (query_BNRD * scale) @ key_BNMD.transpose(2, 3)
    if mask_B11M is not None:
        scores_BNRM = scores_BNRM.masked_fill(~mask_B11M, float("-inf"))
    return scores_BNRM.softmax(-1)


def _rectangles(ends_q: Tensor, ends_k: Tensor) -> tuple[Rectangles, Tensor]:
    """The rectangles of these queries, and the place of every token in them, int64 [L]."""
    return _cut(tuple(ends_q.tolist()), tuple(ends_k.tolist()))


@lru_cache(maxsize=4)  # every layer of a micro-batch asks for the same, forward and backward
def _cut(ends_q: tuple[int, ...], ends_k: tuple[int, ...]) -> tuple[Rectangles, Tensor]:
    rectangles = cut_rectangles([end - begin for begin, end in pairwise(ends_k)])
    place_L = rectangles.place_T
    if ends_q != ends_k:
        rectangles = rectangles.reading(torch.from_numpy(np.repeat(ends_k[:-1], np.diff(ends_q))))
    return rectangles, place_L
