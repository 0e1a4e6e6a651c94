"""An encoder's layer whose backward is written out, for training in fp32 on a CPU.

It computes what `transformers`' layer does and draws the same dropout masks; sums are added in another order. For
autograd a layer is two functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import XLMRobertaModel
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaOutput, XLMRobertaSelfOutput

from xstilts.model.attention import Rectangles
from xstilts.model.cpu_blocks import AttentionBlock, End, FeedForwardBlock
from xstilts.model.last_layer import LastLayer


class CpuLayer(LastLayer):
    """A layer that runs block by block where all of it is trained in fp32, and as ever elsewhere."""

    def forward(self, hidden_states: Tensor, *others: Any, read_T: Tensor | None = None, **options: Any) -> Tensor:
        rectangles = options["segmentation"]
        written_out = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if not (written_out and isinstance(rectangles, Rectangles) and self._is_plain()):
            usual: Tensor = super().forward(hidden_states, *others, read_T=read_T, **options)
            return usual
        hidden_LH = hidden_states[0]
        read_TH = hidden_LH if read_T is None else hidden_LH.index_select(0, read_T)
        own, end = self.attention.self, self.attention.output
        projections = _tensors(own.query, own.key, own.value, end.dense, end.LayerNorm)
        rate = own.dropout.p if self.training else 0.0
        attended_TH = AttentionBlock.apply(
            read_TH, hidden_LH, rectangles, own.num_attention_heads, rate, self._end(end), *projections
        )
        last = self.output
        products = _tensors(self.intermediate.dense, last.dense, last.LayerNorm)
        found_TH: Tensor = FeedForwardBlock.apply(attended_TH, self._end(last), *products)
        return found_TH.unsqueeze(0)

    def _is_plain(self) -> bool:
        """Whether the layer has no adapter, nothing frozen, and is in fp32."""
        trained = all(each.requires_grad and each.dtype == torch.float32 for each in self.parameters())
        return trained and type(self.output) is XLMRobertaOutput

    def _end(self, output: XLMRobertaOutput | XLMRobertaSelfOutput) -> End:
        return End(output.dropout.p if self.training else 0.0, output.LayerNorm.eps)


def _tensors(*modules: nn.Linear | nn.LayerNorm) -> list[Tensor]:
    return [tensor for module in modules for tensor in (module.weight, module.bias)]


def use_cpu_layers(encoder: XLMRobertaModel) -> None:
    """Lets the layers of an encoder on the CPU, whole on every rank, run so in training."""
    if encoder.config.hidden_act == "gelu":
        for layer in encoder.encoder.layer:
            layer.__class__ = CpuLayer
