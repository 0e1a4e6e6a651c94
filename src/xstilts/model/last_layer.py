"""The last layer for the tokens alone that a head reads.

A pair, or an option, reads one token of its segment, tagging the first subword of each word. Keys and values are of
every token; queries, the projection behind attention, the feed-forward block and both norms concern a token by itself,
so what nobody reads need not be computed. With four layers that is up to a fifth of all products, forward and backward,
with 24 a thirtieth. What is read comes out as ever, up to the order of sums; dropout draws fewer numbers.

Shape suffixes: L tokens of the row, T tokens read, H hidden, N heads, D head width.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import XLMRobertaModel
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaLayer

from xstilts.model.attention import Segmentation, packed_attention


class LastLayer(XLMRobertaLayer):
    """A layer that can be asked for some tokens."""

    def forward(
        self, hidden_states: torch.Tensor, *others: Any, read_T: torch.Tensor | None = None, **options: Any
    ) -> torch.Tensor:
        """From `hidden_states`, [1, L, H], that of the tokens `read_T` (int64), [1, T, H]: the `segmentation` among
        the options is then that of reading them. Without `read_T` that of every token, as ever."""
        if read_T is None:
            every: torch.Tensor = super().forward(hidden_states, *others, **options)
            return every
        segmentation: Segmentation = options["segmentation"]
        attention = self.attention.self
        read_1TH = hidden_states.index_select(1, read_T)
        query_1NTD, key_1NLD, value_1NLD = (
            projection(given).unflatten(2, (-1, attention.attention_head_size)).transpose(1, 2)
            for projection, given in (
                (attention.query, read_1TH),
                (attention.key, hidden_states),
                (attention.value, hidden_states),
            )
        )
        rate = attention.dropout.p if self.training else 0.0
        attended_1TND, _ = packed_attention(
            attention, query_1NTD, key_1NLD, value_1NLD, None,
            scaling=attention.scaling, dropout=rate, segmentation=segmentation,
        )  # fmt: skip
        read: torch.Tensor = self.feed_forward_chunk(self.attention.output(attended_1TND.flatten(2), read_1TH))
        return read


def read_some(encoder: XLMRobertaModel) -> None:
    """Lets the last layer of an encoder be asked for some tokens."""
    encoder.encoder.layer[-1].__class__ = LastLayer
