"""Layers and losses that heads share; the only module of kinds that needs torch to be imported."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from xstilts.kinds.feature import NO_LABEL

if TYPE_CHECKING:
    from xstilts.kinds.base import HeadShape, Kind


class Linear(nn.Linear):
    """In fp32 when it predicts, whatever the weights are kept in: bf16 would round scores near 8 to steps of 0.03, and
    of equal scores the first wins."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if self.training:
            return super().forward(given)
        bias = None if self.bias is None else self.bias.float()
        return functional.linear(given.float(), self.weight.float(), bias)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Loss of each target [n], float32, from logits [n, classes]; 0 for `NO_LABEL`. Of no target, what sums to zero and
    still reaches the logits."""
    if not len(targets):
        # Keeps the logits in the graph: their parameters get a gradient of zero, not none.
        return logits.float().sum(dim=-1) if logits.ndim == 2 else logits.float().flatten()
    return functional.cross_entropy(logits.float(), targets, reduction="none", ignore_index=NO_LABEL)


def ragged(scores_T: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
    """Rows of the given sizes, filled up with -inf; [0, 1] from nothing."""
    if not sizes:
        return scores_T.reshape(0, 1)
    return pad_sequence(list(scores_T.split(list(sizes))), batch_first=True, padding_value=float("-inf"))


def count_parameters(kind: Kind[Any], shape: HeadShape, num_classes: int) -> int:
    """`Kind.num_parameters` of layers that are built without values."""
    config = SimpleNamespace(hidden_size=shape.hidden_size, vocab_size=shape.vocab_size, layer_norm_eps=1e-5)
    with torch.device("meta"):
        tied = nn.Embedding(shape.vocab_size, shape.hidden_size)
        layers = kind.layers(cast(Any, config), num_classes, tied)
    return sum(p.numel() for layer in layers.values() for p in layer.parameters() if p is not tied.weight)
