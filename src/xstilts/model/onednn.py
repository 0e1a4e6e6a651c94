"""An encoder's products by oneDNN, in fp32 on a CPU.

`torch.nn.functional.linear` gives them to MKL, which reaches 80 to 100 GFLOP/s of a core that oneDNN brings to 100 to
110, with weights laid out for it once and GELU in the same pass (benchmarks/evaluation.md). PyTorch's public way there,
`torch.utils.mkldnn`, copies each operand in and out and gains nothing; this is the operator to which its compiler
lowers frozen layers. Sums are added in another order, so results agree to rounding.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import XLMRobertaModel
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaIntermediate


def product(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`torch.nn.functional.linear` of weights that are about to change, for float32 on the CPU; without a gradient."""
    if not torch.backends.mkldnn.is_available():
        return torch.nn.functional.linear(given, weight, bias)
    output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(given, weight, bias, "none", [], "none")
    return output


class PackedLinear(nn.Linear):
    """A linear layer with, beside its weights, a copy for oneDNN, made when it is first wanted and whenever the weights
    have changed since."""

    _packed: tuple[int, torch.Tensor] | None = None

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return super().forward(given) if torch.is_grad_enabled() else self.product(given, "none")

    def product(self, given: torch.Tensor, activation: str) -> torch.Tensor:
        """The layer's output through `none` or `gelu`, without a gradient."""
        version = self.weight._version
        if self._packed is None or self._packed[0] != version:
            self._packed = version, torch.ops.mkldnn._reorder_linear_weight(self.weight.detach())
        packed = self._packed[1]
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(given, packed, self.bias, activation, [], "none")
        return output


class PackedIntermediate(XLMRobertaIntermediate):
    """The first half of a feed-forward block, whose activation is GELU."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            return super().forward(hidden_states)
        assert isinstance(self.dense, PackedLinear)
        return self.dense.product(hidden_states, "gelu")


def use_onednn(encoder: XLMRobertaModel) -> None:
    """Lets the layers of an encoder on the CPU, in fp32, compute their products by oneDNN where no gradient is asked
    for."""
    if not torch.backends.mkldnn.is_available():
        return
    for module in encoder.encoder.modules():
        if type(module) is nn.Linear:
            module.__class__ = PackedLinear
        elif type(module) is XLMRobertaIntermediate and encoder.config.hidden_act == "gelu":
            module.__class__ = PackedIntermediate
