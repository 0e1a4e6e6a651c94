"""The encoder's sizes, and what follows from them by arithmetic.

Nothing here needs the libraries that compute: a plan is made from it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

MODEL_TYPE = "xlm-roberta"
"""What is trained here."""
PRE_NORM = "xlm-roberta-xl"
"""XL and XXL (Goyal et al. 2021): LayerNorm before attention and feed-forward block, none in the embeddings, one at the
end. Only estimated here."""


@dataclass(frozen=True)
class Shape:
    """Fields of a configuration, under their names there."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    pad_token_id: int
    adapter_widths: tuple[int, ...] = ()
    """Bottlenecks of the adapters of each layer."""
    model_type: str = MODEL_TYPE

    @classmethod
    def of(cls, config: Any) -> Shape:
        """That of an encoder which was built."""
        own = {field.name: getattr(config, field.name) for field in fields(cls) if field.name != "adapter_widths"}
        return cls(**own, adapter_widths=tuple(getattr(config, "adapter_widths", ())))

    @property
    def longest_segment(self) -> int:
        """Tokens that the position embeddings reach: XLM-R counts from `padding_idx + 1`."""
        return self.max_position_embeddings - self.pad_token_id - 1

    @property
    def num_in_embeddings(self) -> int:
        """Values of the embedding matrices and their LayerNorm."""
        norm = 0 if self.model_type == PRE_NORM else 2
        return (self.vocab_size + self.max_position_embeddings + self.type_vocab_size + norm) * self.hidden_size

    @property
    def num_in_layers(self) -> int:
        """Values of all layers, and of the LayerNorm behind them where there is one."""
        last_norm = 2 * self.hidden_size if self.model_type == PRE_NORM else 0
        return self.num_hidden_layers * self.num_in_layer + last_norm

    @property
    def num_in_layer(self) -> int:
        """Four projections and two of the feed-forward block, with biases, two LayerNorms, and adapters."""
        hidden, inner = self.hidden_size, self.intermediate_size
        of_adapters = sum(2 * hidden * width + hidden + width for width in self.adapter_widths)
        return 4 * hidden * (hidden + 1) + 2 * hidden * inner + inner + 5 * hidden + of_adapters
