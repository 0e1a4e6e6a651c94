"""Block attention over a packed row: each segment attends to itself alone.

Segments of like length are gathered into small rectangles and each rectangle runs one
`scaled_dot_product_attention`; everything else in a layer sees the packed row without any padding. The cost is that
of attention over the segments' own lengths, not of the square of the row. The rectangles are cut once per
micro-batch and shared by all layers.

Shape suffixes: L tokens of the row, N heads, D head width, B segments and M tokens of a rectangle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

NAME = "xstilts_packed"

_MAX_PADDING = 0.15
"""A rectangle takes in shorter segments while its padding stays below this share."""


@dataclass(frozen=True)
class Rectangle:
    """Segments of like length."""

    index_BM: torch.Tensor
    """int64: row position of each token; padding repeats the segment's first token."""
    mask_B11M: torch.Tensor | None
    """bool, True where there is a token; None where no segment is padded."""
    rows: torch.Tensor
    """int64: places in the flattened rectangle that hold tokens."""
    places: torch.Tensor
    """int64: their positions in the row."""


def cut_rectangles(lengths: Sequence[int], device: torch.device) -> list[Rectangle]:
    """Rectangles over a packed row whose segments have these lengths; together they hold every token once."""
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
    return [_rectangle([starts[i] for i in group], [lengths[i] for i in group], device) for group in groups]


def _rectangle(starts: list[int], lengths: list[int], device: torch.device) -> Rectangle:
    longest = lengths[0]
    start_B1 = torch.tensor(starts).unsqueeze(1)
    column_M = torch.arange(longest)
    real_BM = column_M < torch.tensor(lengths).unsqueeze(1)
    index_BM = torch.where(real_BM, start_B1 + column_M, start_B1)
    rows = real_BM.flatten().nonzero().squeeze(1)
    mask = None if lengths[-1] == longest else real_BM[:, None, None, :].to(device)
    return Rectangle(index_BM.to(device), mask, rows.to(device), index_BM.flatten()[rows].to(device))


def packed_attention(
    module: torch.nn.Module,
    query_1NLD: torch.Tensor,
    key_1NLD: torch.Tensor,
    value_1NLD: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    rectangles: Sequence[Rectangle],
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function of `transformers`' interface; returns [1, L, N, D]."""
    num_heads, length, width = query_1NLD.shape[1:]
    stacked_L3ND = torch.stack((query_1NLD[0], key_1NLD[0], value_1NLD[0])).permute(2, 0, 1, 3)
    pieces, places = [], []
    for rectangle in rectangles:
        gathered = stacked_L3ND[rectangle.index_BM]
        query, key, value = gathered.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=rectangle.mask_B11M, dropout_p=dropout, scale=scaling
        )
        pieces.append(attended.transpose(1, 2).reshape(-1, num_heads, width)[rectangle.rows])
        places.append(rectangle.places)
    order = torch.empty(length, dtype=torch.int64, device=query_1NLD.device)
    order[torch.cat(places)] = torch.arange(length, device=query_1NLD.device)
    return torch.cat(pieces)[order].unsqueeze(0), None


AttentionInterface.register(NAME, packed_attention)
# Without an entry of its own, transformers would build (and the function above would ignore) a dense mask.
AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)
