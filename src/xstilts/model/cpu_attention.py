"""Attention over rectangles with its backward written out, for training on a CPU.

What autograd would do besides: fill and clear a masked copy of the scores, scatter what was gathered, and add up the
gradients of keys and values by themselves.

Shape suffixes: L tokens of the row, T queries, P places of the rectangles, Q places of the queries, H hidden size; of
a rectangle S its segments' heads, M tokens and R queries of each, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xstilts.model.attention import Rectangle, Rectangles
from xstilts.model.dropout import keep_mask


def attend(
    query_TH: Tensor, key_value_L2H: Tensor, rectangles: Rectangles, num_heads: int, rate: float
) -> tuple[Tensor, list[Tensor]]:
    """What each query gets from its own segment, [T, H], and what `gradients` needs of it; queries come scaled, and the
    masks are those that `Rectangles.attend` draws."""
    kept = []
    query_QH = query_TH.index_select(0, rectangles.query_Q)
    attended_QH = torch.empty_like(query_QH)
    queries = (each.split(_num_queries(rectangles)) for each in (query_QH, attended_QH))
    keys_values = key_value_L2H.index_select(0, rectangles.index_P).split(_num_places(rectangles))
    for rectangle, of_query, attended, of_key_value in zip(rectangles.each, *queries, keys_values, strict=True):
        shape_BNRM = (rectangle.num_rows, num_heads, rectangle.num_queries, rectangle.width)
        (query_SRD,) = _by_head(of_query, 1, rectangle, num_heads)
        key_SMD, value_SMD = _by_head(of_key_value, 2, rectangle, num_heads)
        scores_SRM = torch.bmm(query_SRD, key_SMD.transpose(1, 2))
        if rectangle.mask_B11M is not None:
            scores_SRM.view(shape_BNRM).add_(torch.zeros(()).where(rectangle.mask_B11M, -torch.inf))
        share_SRM = scores_SRM.softmax(-1)
        mask_SRM = keep_mask(share_SRM.view(shape_BNRM), rate).view_as(share_SRM) if rate else torch.ones(())
        dropped_SRM = share_SRM * mask_SRM if rate else share_SRM
        _by_token(torch.bmm(dropped_SRM, value_SMD).unsqueeze(0), rectangle, num_heads, attended)
        kept += [query_SRD, key_SMD, value_SMD, share_SRM, mask_SRM, dropped_SRM]
    return attended_QH.index_select(0, rectangles.place_T), kept


def gradients(
    gradient_TH: Tensor, kept: Sequence[Tensor], rectangles: Rectangles, num_heads: int
) -> tuple[Tensor, Tensor]:
    """From the gradient of what `attend` gave those of the scaled queries, [T, H], and of keys and values, [L, 2H]."""
    # What is not a query is padding, whose gradient is zero.
    gradient_QH = gradient_TH.new_zeros(len(rectangles.query_Q), gradient_TH.shape[1])
    gradient_QH.index_copy_(0, rectangles.place_T, gradient_TH)
    of_query_QH = torch.empty_like(gradient_QH)
    of_key_value_P2H = gradient_TH.new_empty(len(rectangles.index_P), 2 * gradient_TH.shape[1])
    queries = (each.split(_num_queries(rectangles)) for each in (gradient_QH, of_query_QH))
    keys_values = of_key_value_P2H.split(_num_places(rectangles))
    of_each = zip(*[iter(kept)] * 6, strict=True)
    for rectangle, gradient, of_query, of_key_value, saved in zip(
        rectangles.each, *queries, keys_values, of_each, strict=True
    ):
        query_SRD, key_SMD, value_SMD, share_SRM, mask_SRM, dropped_SRM = saved
        (gradient_SRD,) = _by_head(gradient, 1, rectangle, num_heads)
        of_key_value_2SMD = key_SMD.new_empty(2, *key_SMD.shape)
        torch.bmm(dropped_SRM.transpose(1, 2), gradient_SRD, out=of_key_value_2SMD[1])
        of_share_SRM = torch.bmm(gradient_SRD, value_SMD.transpose(1, 2)).mul_(mask_SRM)
        of_scores_SRM = torch._softmax_backward_data(of_share_SRM, share_SRM, -1, share_SRM.dtype)
        torch.bmm(of_scores_SRM.transpose(1, 2), query_SRD, out=of_key_value_2SMD[0])
        _by_token(torch.bmm(of_scores_SRM, key_SMD).unsqueeze(0), rectangle, num_heads, of_query)
        _by_token(of_key_value_2SMD, rectangle, num_heads, of_key_value)
    return of_query_QH.index_select(0, rectangles.place_T), of_key_value_P2H.index_select(0, rectangles.place_L)


def _num_queries(rectangles: Rectangles) -> list[int]:
    return [each.num_rows * each.num_queries for each in rectangles.each]


def _num_places(rectangles: Rectangles) -> list[int]:
    return [each.num_rows * each.width for each in rectangles.each]


def _by_head(packed: Tensor, num: int, rectangle: Rectangle, num_heads: int) -> Tensor:
    """A rectangle's `num` vectors of each token, side by side, as [num, S, tokens, D] in memory of its own."""
    split = packed.view(rectangle.num_rows, -1, num, num_heads, packed.shape[1] // num // num_heads)
    return split.permute(2, 0, 3, 1, 4).flatten(1, 2)


def _by_token(split: Tensor, rectangle: Rectangle, num_heads: int, out: Tensor) -> None:
    """The inverse of `_by_head`, into `out`."""
    by_row = split.unflatten(1, (rectangle.num_rows, num_heads)).permute(1, 3, 0, 2, 4)
    out.view(by_row.shape).copy_(by_row)
