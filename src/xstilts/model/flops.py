"""What training computes, by arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from xstilts.model.shape import Shape


def training_flops(
    shape: Shape, lengths: Sequence[int], trained: Literal["encoder", "adapters", "heads"] = "encoder"
) -> float:
    """FLOPs of forward and backward over packed segments of these lengths.

    6 per layer weight and token, and 12 x layers x hidden x length per token for attention; a third of both is the
    forward. Weights that are frozen behind trained adapters have no gradient of their own: 4.
    That the last layer is computed for the tokens alone that heads read is not deducted: the count is the model's.
    Embedding lookups cost nothing; counting their weights would overstate XLM-R Large 1.8 times.
    """
    hidden, layers = shape.hidden_size, shape.num_hidden_layers
    weights = layers * (4 * hidden * hidden + 2 * hidden * shape.intermediate_size)
    of_adapters = layers * 2 * hidden * sum(shape.adapter_widths)
    per_token = {"encoder": 6 * (weights + of_adapters), "adapters": 4 * weights + 6 * of_adapters}
    linear = per_token.get(trained, 2 * (weights + of_adapters))
    attention = layers * hidden * (4 if trained == "heads" else 12)
    return float(sum(n * (linear + attention * n) for n in lengths))
