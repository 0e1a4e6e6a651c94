"""A task's head: the layers that its kind names, behind one dropout.

Its forward takes what it reads of the packed encoder output and its own input, both possibly empty, so that every head
runs in every micro-batch and no parameter is ever without a gradient.

Shape suffixes: T positions read, H hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import XLMRobertaConfig

from xstilts.kinds import Kind
from xstilts.kinds.head_input import HeadInput


class Head(nn.Module):
    """Logits from the encoder output, and the loss of each target, as the kind has them."""

    def __init__(self, kind: Kind[Any], config: XLMRobertaConfig, num_classes: int, embeddings: nn.Embedding) -> None:
        super().__init__()
        self.kind = kind
        dropout = config.classifier_dropout if config.classifier_dropout is not None else config.hidden_dropout_prob
        self.dropout = nn.Dropout(dropout)
        for name, layer in kind.layers(config, num_classes, embeddings).items():
            self.add_module(name, layer)

    def forward(self, hidden_TH: torch.Tensor, given: HeadInput) -> torch.Tensor:
        """Logits in the shape of the kind."""
        return self.kind.logits(dict(self.named_children()), hidden_TH, given)

    def losses(self, logits: torch.Tensor, given: HeadInput) -> torch.Tensor:
        """Loss per target, float32, as long as `given.weights`."""
        return self.kind.losses(logits, given)
