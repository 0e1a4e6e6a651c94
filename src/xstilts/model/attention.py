"""Block attention over a packed row: each segment attends to itself alone.

Which tokens those are a `Segmentation` knows, and computes attention by it: the rectangles of this module, or `varlen`.
Segments of like length are gathered into small rectangles and each rectangle runs one
`scaled_dot_product_attention`; everything else in a layer sees the packed row without any padding. The cost is that
of attention over the segments' own lengths, not of the square of the row. The rectangles are cut once per
micro-batch and shared by all layers, but for the queries: the last layer has those alone that heads read.

Shape suffixes: L tokens of the row, P places of its rectangles, T queries, Q places of these, N heads, D head width;
of a rectangle B segments, M tokens and R queries of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch.nn import functional
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from xstilts.model.dropout import dropout as drop

NAME = "xstilts_packed"

_MAX_PADDING = 0.15
"""A rectangle takes in shorter segments while its padding stays below this share."""


class Segmentation(Protocol):
    """Where the segments of a packed row and their queries lie."""

    def attend(
        self, query_TND: torch.Tensor, key_LND: torch.Tensor, value_LND: torch.Tensor, scale: float, rate: float
    ) -> torch.Tensor:
        """What each query gets from its own segment, [T, N, D], probabilities dropped at `rate`."""

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Self:
        """The same with each of its tensors moved."""


@dataclass(frozen=True)
class Rectangle:
    """Segments of like length, one row each."""

    num_rows: int
    width: int
    """Tokens of the longest segment."""
    num_queries: int
    """Queries of the segment that has most."""
    mask_B11M: torch.Tensor | None
    """bool, True where there is a token; None where no segment is padded."""


@dataclass(frozen=True)
class Rectangles:
    """A packed row as rectangles, whose places are counted through all of them, row by row."""

    each: tuple[Rectangle, ...]
    index_P: torch.Tensor
    """int64: row position of the token in each place; padding repeats the segment's first token."""
    query_Q: torch.Tensor
    """int64: number of the query in each place; padding repeats any."""
    place_T: torch.Tensor
    """int64: the place of each query."""
    place_L: torch.Tensor
    """int64: the place of each token."""

    def reading(self, read_T: torch.Tensor) -> Rectangles:
        """The same for queries of these tokens alone, of which there is one at least. Both on the host, and every token
        a query as yet."""
        num_rows = [rectangle.num_rows for rectangle in self.each]
        ends = np.cumsum(np.repeat([rectangle.width for rectangle in self.each], num_rows))
        row_T = np.searchsorted(ends, self.place_L[read_T].numpy(), side="right")
        counts = np.bincount(row_T, minlength=len(ends))
        # One at least, that every rectangle has a gradient.
        most = np.maximum(1, np.maximum.reduceat(counts, np.cumsum([0, *num_rows[:-1]])))
        sizes = np.repeat(most, num_rows)
        order = np.argsort(row_T, kind="stable")
        place_T = np.empty_like(row_T)
        place_T[order] = np.arange(len(row_T)) + np.repeat(
            (sizes.cumsum() - sizes) - (counts.cumsum() - counts), counts
        )
        query_Q = np.zeros(sizes.sum(), dtype=np.int64)
        query_Q[place_T] = np.arange(len(row_T))
        each = (replace(rectangle, num_queries=int(num)) for rectangle, num in zip(self.each, most, strict=True))
        return Rectangles(tuple(each), self.index_P, torch.from_numpy(query_Q), torch.from_numpy(place_T), self.place_L)

    def attend(
        self, query_TND: torch.Tensor, key_LND: torch.Tensor, value_LND: torch.Tensor, scale: float, rate: float
    ) -> torch.Tensor:
        """What each query gets from its own segment, [T, N, D]."""
        attended = []
        for rectangle, query, key, value in self.gather(query_TND, key_LND, value_LND):
            found = _attend(query, key, value, rectangle.mask_B11M, scale, rate)
            attended.append(found.transpose(1, 2).flatten(0, 1))
        return torch.cat(attended).index_select(0, self.place_T)

    def gather(
        self, query_TND: torch.Tensor, key_LND: torch.Tensor, value_LND: torch.Tensor
    ) -> Iterator[tuple[Rectangle, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Each rectangle with its queries, [B, N, R, D], keys and values, [B, N, M, D]."""
        # Not [index]: that one's backward sorts the indices on a GPU.
        query_QND, key_PND, value_PND = (
            packed.index_select(0, index)
            for packed, index in (
                (query_TND, self.query_Q),
                (key_LND, self.index_P),
                (value_LND, self.index_P),
            )
        )
        sizes = [rectangle.num_rows * rectangle.width for rectangle in self.each]
        queries = query_QND.split([rectangle.num_rows * rectangle.num_queries for rectangle in self.each])
        pieces = zip(queries, key_PND.split(sizes), value_PND.split(sizes), strict=True)
        for rectangle, piece in zip(self.each, pieces, strict=True):
            query, key, value = (part.unflatten(0, (rectangle.num_rows, -1)).transpose(1, 2) for part in piece)
            yield rectangle, query, key, value

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Rectangles:
        """The same with each of its tensors moved."""
        each = (replace(one, mask_B11M=None if one.mask_B11M is None else move(one.mask_B11M)) for one in self.each)
        moved = (move(each) for each in (self.index_P, self.query_Q, self.place_T, self.place_L))
        return Rectangles(tuple(each), *moved)


def cut_rectangles(lengths: Sequence[int]) -> Rectangles:
    """Rectangles over a packed row whose segments have these lengths, on the host; together they hold every token once,
    and every token is a query."""
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    groups: list[list[int]] = []
    tokens = 0
    for i in order:
        area = lengths[groups[-1][0]] * (len(groups[-1]) + 1) if groups else 0
        if area and (area - tokens - lengths[i]) / area <= _MAX_PADDING:
            groups[-1].append(i)
            tokens += lengths[i]
        else:
            groups.append([i])
            tokens = lengths[i]
    each, indices, reals = [], [], []
    for group in groups:
        index_BM, real_BM = _fill([starts[i] for i in group], [lengths[i] for i in group])
        indices.append(index_BM.flatten())
        reals.append(real_BM.flatten())
        mask = None if bool(real_BM.all()) else real_BM[:, None, None, :]
        each.append(Rectangle(len(group), lengths[group[0]], lengths[group[0]], mask))
    index_P = torch.cat(indices)
    places = torch.cat(reals).nonzero().squeeze(1)
    place_L = torch.empty(starts[-1], dtype=torch.int64)
    place_L[index_P[places]] = places
    return Rectangles(tuple(each), index_P, index_P, place_L, place_L)


def _fill(starts: list[int], lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Row positions of a rectangle's tokens [B, M], and where they are tokens rather than padding."""
    start_B1 = torch.tensor(starts).unsqueeze(1)
    column_M = torch.arange(lengths[0])
    real_BM = column_M < torch.tensor(lengths).unsqueeze(1)
    return torch.where(real_BM, start_B1 + column_M, start_B1), real_BM


def packed_attention(
    module: torch.nn.Module,
    query_1NTD: torch.Tensor,
    key_1NLD: torch.Tensor,
    value_1NLD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    segmentation: Segmentation,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function of `transformers`' interface; returns [1, T, N, D]."""
    # Not [0]: that one's backward fills a tensor with zeros first.
    query, key, value = (each.transpose(1, 2).flatten(0, 1) for each in (query_1NTD, key_1NLD, value_1NLD))
    return segmentation.attend(query, key, value, scaling, dropout).unsqueeze(0), None


def _attend(
    query_BNRD: torch.Tensor,
    key_BNMD: torch.Tensor,
    value_BNMD: torch.Tensor,
    mask_B11M: torch.Tensor | None,
    scaling: float,
    rate: float,
) -> torch.Tensor:
    """Attention within a rectangle, [B, N, R, D]. With dropout PyTorch's own is this on the CPU, with dearer masks."""
    if rate == 0 or query_BNRD.device.type != "cpu":
        return functional.scaled_dot_product_attention(
            query_BNRD, key_BNMD, value_BNMD, attn_mask=mask_B11M, dropout_p=rate, scale=scaling
        )
    scores_BNRM = (query_BNRD * scaling) @ key_BNMD.transpose(2, 3)
    if mask_B11M is not None:
        scores_BNRM = scores_BNRM.masked_fill(~mask_B11M, float("-inf"))
    return drop(scores_BNRM.softmax(-1), rate) @ value_BNMD


AttentionInterface.register(NAME, packed_attention)
# Without an entry of its own, transformers would build (and the function above would ignore) a dense mask.
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)
