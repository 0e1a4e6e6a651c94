"""Bottleneck adapters in the encoder's layers.

Place and form are those of Pfeiffer et al. (2020, MAD-X, arXiv 2005.00052) in AdapterHub's default configuration: one
adapter a layer, behind the feed-forward block and not behind attention (Houlsby et al., 2019, have both). With x the
block's input, r its output and A(h) = up(relu(down(h))), a layer gives LayerNorm(x + r + A(LayerNorm(x + r))), the norm
being the layer's own. A further adapter does the same with r + A(...) in the place of r.

Shape suffixes: L tokens of the row, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import nn
from torch.nn import functional
from transformers import XLMRobertaConfig, XLMRobertaModel
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaOutput

from xstilts.core.seeds import derive_seed

_WIDTHS = "adapter_widths"
"""Field of the encoder's configuration: bottlenecks of its adapters, in the order in which stages added them."""


class Adapter(nn.Module):
    """A bottleneck: what is added to the residual stream."""

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(hidden_size, width)
        self.up = nn.Linear(width, hidden_size)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.up(functional.relu(self.down(hidden)))
        return added


class AdaptedOutput(XLMRobertaOutput):
    """The end of a layer's feed-forward block, with adapters."""

    adapters: nn.ModuleList
    overlap_L: torch.Tensor
    """Of the last forward in training: squared cosine, token by token, between what the newest adapter adds and the
    layer's output without it; float32."""

    def forward(self, hidden_states: torch.Tensor, input_tensor: torch.Tensor) -> torch.Tensor:
        changed = self.dropout(self.dense(hidden_states))
        for adapter in self.adapters:
            before = self.LayerNorm(changed + input_tensor)
            added = adapter(before)
            changed = changed + added
        if self.training:
            self.overlap_L = functional.cosine_similarity(added.float(), before.float(), dim=-1).flatten().square()
        output: torch.Tensor = self.LayerNorm(changed + input_tensor)
        return output


def adapter_widths(config: XLMRobertaConfig) -> tuple[int, ...]:
    """The bottleneck of each adapter of a layer, the oldest first; empty without adapters."""
    return tuple(getattr(config, _WIDTHS, ()))


def build_adapters(encoder: XLMRobertaModel) -> None:
    """Gives an encoder without adapters those that its configuration names, with any weights."""
    for width in adapter_widths(encoder.config):
        _append(encoder, width)


def add_adapters(encoder: XLMRobertaModel, width: int, seed: int) -> None:
    """Puts one more adapter into every layer, near the identity: matrices N(0, initializer_range), biases 0, from
    (seed, layer, matrix) alone."""
    setattr(encoder.config, _WIDTHS, [*adapter_widths(encoder.config), width])
    for number, adapter in enumerate(_append(encoder, width)):
        for name, parameter in adapter.named_parameters():
            generator = torch.Generator().manual_seed(derive_seed(seed, "adapter", number, name))
            spread = encoder.config.initializer_range if parameter.ndim == 2 else 0.0
            with torch.no_grad():
                parameter.normal_(0.0, spread, generator=generator)


def overlap(encoder: XLMRobertaModel) -> torch.Tensor:
    """Float32 [L]: `AdaptedOutput.overlap_L`, mean over the layers."""
    return torch.stack([cast(AdaptedOutput, layer.output).overlap_L for layer in encoder.encoder.layer]).mean(0)


def _append(encoder: XLMRobertaModel, width: int) -> Iterator[Adapter]:
    new = []
    for layer in encoder.encoder.layer:
        output = cast(AdaptedOutput, layer.output)
        if type(output) is not AdaptedOutput:
            output.__class__ = AdaptedOutput
            output.adapters = nn.ModuleList()
        new.append(Adapter(encoder.config.hidden_size, width))
        output.adapters.append(new[-1])
    return iter(new)
