"""Model FLOPs utilisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from transformers import XLMRobertaConfig

from xstilts.distributed import dist
from xstilts.model.adapters import adapter_widths

_PEAK_FLOPS = {
    "H200 NVL": 835e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "V100": 125e12,
}
"""Dense half-precision peak per device, vendors' datasheets (V100: fp16 tensor cores): the first name that fits, the
cards with less power before the SXM modules."""


def training_flops(
    config: XLMRobertaConfig, lengths: Sequence[int], trained: Literal["encoder", "adapters", "heads"] = "encoder"
) -> float:
    """FLOPs of forward and backward over packed segments of these lengths.

    6 per layer weight and token, and 12 x layers x hidden x length per token for attention; a third of both is the
    forward. Weights that are frozen behind trained adapters have no gradient of their own: 4.
    That the last layer is computed for the tokens alone that heads read is not deducted: the count is the model's.
    Embedding lookups cost nothing; counting their weights would overstate XLM-R Large 1.8 times.
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * hidden * hidden + 2 * hidden * config.intermediate_size)
    of_adapters = layers * 2 * hidden * sum(adapter_widths(config))
    per_token = {"encoder": 6 * (weights + of_adapters), "adapters": 4 * weights + 6 * of_adapters}
    linear = per_token.get(trained, 2 * (weights + of_adapters))
    attention = layers * hidden * (4 if trained == "heads" else 12)
    return float(sum(n * (linear + attention * n) for n in lengths))


def peak_flops() -> float | None:
    """Peak of this rank's device; None where it is not known."""
    if dist.device().type != "cuda":
        return None
    name = torch.cuda.get_device_name()
    return next((peak for model, peak in _PEAK_FLOPS.items() if model in name), None)
