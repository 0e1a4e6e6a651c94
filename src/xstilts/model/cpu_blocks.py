"""The two blocks of a layer, forward and backward, for training in fp32 on a CPU.

Each ends as XLM-R's do: dropout, the residual stream added, LayerNorm. Products forward and of the inputs' gradients
are oneDNN's; those of keys and values are one; what comes back along the residual stream is added to in place.

Shape suffixes: L tokens of the row, T tokens read (of every layer but the last all), H hidden size, I feed-forward
size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xstilts.model.attention import Rectangles
from xstilts.model.cpu_attention import attend, gradients
from xstilts.model.dropout import keep_mask
from xstilts.model.onednn import product


@dataclass(frozen=True)
class End:
    """How a block ends."""

    rate: float
    """Of dropout; 0 outside of training."""
    eps: float
    """Of LayerNorm."""

    def forward(
        self, output_TH: Tensor, residual_TH: Tensor, norm_H: Tensor, shift_H: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]]:
        """What the block gives, and what `backward` needs; writes into `output_TH`."""
        mask_TH = keep_mask(output_TH, self.rate) if self.rate else None
        if mask_TH is not None:
            output_TH.mul_(mask_TH)
        output_TH.add_(residual_TH)
        normed_TH, mean_T1, scale_T1 = torch.native_layer_norm(output_TH, norm_H.shape, norm_H, shift_H, self.eps)
        return normed_TH, (output_TH, mean_T1, scale_T1, norm_H, shift_H, mask_TH)

    @staticmethod
    def backward(
        gradient_TH: Tensor, summed_TH: Tensor, mean_T1: Tensor, scale_T1: Tensor, norm_H: Tensor, shift_H: Tensor,
        mask_TH: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """The gradients of the output before dropout, of the residual stream, of scale and shift; the first two may be
        one tensor."""
        of_residual_TH, of_norm_H, of_shift_H = torch.ops.aten.native_layer_norm_backward(
            gradient_TH, summed_TH, norm_H.shape, mean_T1, scale_T1, norm_H, shift_H, [True, True, True]
        )
        of_output_TH = of_residual_TH if mask_TH is None else of_residual_TH * mask_TH
        return of_output_TH, of_residual_TH, of_norm_H, of_shift_H


class AttentionBlock(torch.autograd.Function):
    """Attention, its projections and the end of the block."""

    @staticmethod
    def forward(
        ctx: Any, read_TH: Tensor, hidden_LH: Tensor, rectangles: Rectangles, num_heads: int, rate: float, end: End,
        query_HH: Tensor, query_H: Tensor, key_HH: Tensor, key_H: Tensor, value_HH: Tensor, value_H: Tensor,
        output_HH: Tensor, output_H: Tensor, norm_H: Tensor, shift_H: Tensor,
    ) -> Tensor:  # fmt: skip
        """[T, H]; keys and values are of `hidden_LH`, queries and the residual stream of `read_TH`."""
        key_value_L2H = product(hidden_LH, torch.cat([key_HH, value_HH]), torch.cat([key_H, value_H]))
        scale = (len(query_H) // num_heads) ** -0.5
        query_TH = product(read_TH, query_HH, query_H).mul_(scale)
        attended_TH, kept = attend(query_TH, key_value_L2H, rectangles, num_heads, rate)
        found_TH, of_end = end.forward(product(attended_TH, output_HH, output_H), read_TH, norm_H, shift_H)
        given = (read_TH, hidden_LH, query_HH, key_HH, value_HH, output_HH)
        ctx.save_for_backward(*given, attended_TH, *of_end, *kept)
        ctx.rectangles, ctx.num_heads, ctx.scale = rectangles, num_heads, scale
        return found_TH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_TH: Tensor) -> tuple[Tensor | None, ...]:
        read_TH, hidden_LH, query_HH, key_HH, value_HH, output_HH, attended_TH, *kept = ctx.saved_tensors
        of_output_TH, of_read_TH, of_norm_H, of_shift_H = End.backward(gradient_TH, *kept[:6])
        of_output_HH, of_output_H = of_output_TH.t() @ attended_TH, of_output_TH.sum(0)
        of_attended_TH = product(of_output_TH, output_HH.t())
        of_query_TH, of_key_value_L2H = gradients(of_attended_TH, kept[6:], ctx.rectangles, ctx.num_heads)
        of_query_TH.mul_(ctx.scale)
        of_read_TH.add_(product(of_query_TH, query_HH.t()))
        of_hidden_LH = product(of_key_value_L2H, torch.cat([key_HH, value_HH]).t())
        of_key_HH, of_value_HH = (of_key_value_L2H.t() @ hidden_LH).chunk(2)
        of_key_H, of_value_H = of_key_value_L2H.sum(0).chunk(2)
        return (
            of_read_TH, of_hidden_LH, None, None, None, None,
            of_query_TH.t() @ read_TH, of_query_TH.sum(0), of_key_HH, of_key_H, of_value_HH, of_value_H,
            of_output_HH, of_output_H, of_norm_H, of_shift_H,
        )  # fmt: skip


class FeedForwardBlock(torch.autograd.Function):
    """Two products with GELU between them, and the end of the block."""

    @staticmethod
    def forward(
        ctx: Any, given_TH: Tensor, end: End,
        inner_IH: Tensor, inner_I: Tensor, outer_HI: Tensor, outer_H: Tensor, norm_H: Tensor, shift_H: Tensor,
    ) -> Tensor:  # fmt: skip
        """[T, H]."""
        inner_TI = product(given_TH, inner_IH, inner_I)
        active_TI = torch.nn.functional.gelu(inner_TI)
        found_TH, of_end = end.forward(product(active_TI, outer_HI, outer_H), given_TH, norm_H, shift_H)
        ctx.save_for_backward(given_TH, inner_IH, outer_HI, inner_TI, active_TI, *of_end)
        return found_TH

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_TH: Tensor) -> tuple[Tensor | None, ...]:
        given_TH, inner_IH, outer_HI, inner_TI, active_TI, *kept = ctx.saved_tensors
        of_outer_TH, of_given_TH, of_norm_H, of_shift_H = End.backward(gradient_TH, *kept)
        of_outer_HI, of_outer_H = of_outer_TH.t() @ active_TI, of_outer_TH.sum(0)
        of_active_TI = product(of_outer_TH, outer_HI.t())
        of_inner_TI = torch.ops.aten.gelu_backward.grad_input(of_active_TI, inner_TI, grad_input=of_active_TI)
        of_given_TH.add_(product(of_inner_TI, inner_IH.t()))
        return (
            of_given_TH, None, of_inner_TI.t() @ given_TH, of_inner_TI.sum(0), of_outer_HI, of_outer_H,
            of_norm_H, of_shift_H,
        )  # fmt: skip
