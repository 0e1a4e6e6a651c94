"""Block attention over a packed row in one call: segments by their cumulative lengths, with dropout.

One custom operator, so that `torch.compile` sees one node whatever the lengths are. On CUDA it is torch's own kernel:
flash attention in half precision (Ampere or newer), memory-efficient attention in fp32. Both are reached below
`torch.nn.attention`, whose `varlen_attn` has no dropout (torch 2.13). Elsewhere it is `varlen_cpu`. None of the CUDA
kernels has been run here.

The memory-efficient kernel gets no dropout. With cumulative lengths its forward counts no keys where it places the
random numbers of each segment and head (`max_seqlen_k = 0` in torch's attention.cu; its issue 115590), its backward
does: as the source reads, gradients would be of other masks than the output.

Shape suffixes: S segments, L tokens of the row, T queries, N heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from xstilts.model import varlen_cpu

_MULTIPLE = 8
"""The CUDA kernels take head widths that this divides."""
_LSE_MULTIPLE = 32
"""The memory-efficient kernel pads its sums over queries to this."""
_NO_CUSTOM_MASK = 0


@dataclass(frozen=True)
class Segments:
    """A packed row by cumulative lengths."""

    ends_q: Tensor
    """int32 [S + 1], from 0 on: where each segment's queries begin and end among the queries."""
    ends_k: Tensor
    """int32 [S + 1]: the same of its tokens in the row."""
    longest_q: int
    longest_k: int

    def attend(self, query_TND: Tensor, key_LND: Tensor, value_LND: Tensor, scale: float, rate: float) -> Tensor:
        """What each query gets from its own segment, [T, N, D]."""
        width = query_TND.shape[-1]
        query, key, value = (_padded(each).contiguous() for each in (query_TND, key_LND, value_LND))
        attended: Tensor
        attended, _, _ = varlen(
            query, key, value, self.ends_q, self.ends_k, self.longest_q, self.longest_k, rate, scale
        )
        return attended[..., :width] if width % _MULTIPLE else attended

    def moved(self, move: Callable[[Tensor], Tensor]) -> Segments:
        """The same with each of its tensors moved."""
        ends_k = move(self.ends_k)
        return Segments(
            ends_k if self.ends_q is self.ends_k else move(self.ends_q), ends_k, self.longest_q, self.longest_k
        )


@torch.library.custom_op("xstilts::varlen", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    ends_q: Tensor,
    ends_k: Tensor,
    longest_q: int,
    longest_k: int,
    rate: float,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Attention of each segment's queries [T, N, D] to its keys and values [L, N, D], all contiguous.

    Returns the output, [T, N, D]; the logarithms of the softmaxes' sums in the kernel's own form; and what its dropout
    was drawn from. The last two are for the backward.
    """
    lengths = ends_q, ends_k, longest_q, longest_k
    match _kernel(query):
        case "flash":
            out, lse, rng, _, _ = torch.ops.aten._flash_attention_forward(
                query, key, value, *lengths, rate, False, False, scale=scale
            )
            return out, lse, rng
        case "efficient":
            assert rate == 0, "the backward would draw other masks"
            out, lse, *_ = torch.ops.aten._efficient_attention_forward(
                *_as_batch(query, key, value), None, *lengths, rate, _NO_CUSTOM_MASK, True, scale=scale
            )
            return out.squeeze(0), lse, torch.zeros(1, dtype=torch.int64)
        case "rectangles":
            rng = torch.randint(2**63 - 1, (1,))
            return varlen_cpu.forward(query, key, value, ends_q, ends_k, rate, scale, rng), query.new_empty(0), rng


@varlen.register_fake
def _(
    query: Tensor, key: Tensor, value: Tensor, ends_q: Tensor, ends_k: Tensor, longest_q: int, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    num_queries, num_heads = query.shape[:2]
    out = torch.empty_like(query)
    match _kernel(query):
        case "flash":
            lse = query.new_empty((num_heads, num_queries), dtype=torch.float32)
            return out, lse, query.new_empty(2, dtype=torch.uint64)
        case "efficient":
            padded = (longest_q + _LSE_MULTIPLE - 1) // _LSE_MULTIPLE * _LSE_MULTIPLE
            lse = query.new_empty((ends_q.shape[0] - 1, num_heads, padded), dtype=torch.float32)
            return out, lse, torch.empty(1, dtype=torch.int64)
        case "rectangles":
            return out, query.new_empty(0), torch.empty(1, dtype=torch.int64)


@torch.library.custom_op("xstilts::varlen_backward", mutates_args=())
def varlen_backward(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    rng: Tensor,
    ends_q: Tensor,
    ends_k: Tensor,
    longest_q: int,
    longest_k: int,
    rate: float,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values, given that of the output."""
    lengths = ends_q, ends_k, longest_q, longest_k
    match _kernel(query):
        case "flash":
            of_query, of_key, of_value = torch.ops.aten._flash_attention_backward(
                gradient, query, key, value, out, lse, *lengths, rate, False, rng, rng.new_empty(()), scale=scale
            )
            return of_query, of_key, of_value
        case "efficient":
            of_query, of_key, of_value, _ = torch.ops.aten._efficient_attention_backward(
                *_as_batch(gradient, query, key, value), None, *_as_batch(out), *lengths, lse, rate, rng, rng,
                _NO_CUSTOM_MASK, False, scale=scale,
            )  # fmt: skip
            return of_query.squeeze(0), of_key.squeeze(0), of_value.squeeze(0)
        case "rectangles":
            return varlen_cpu.backward(gradient, query, key, value, ends_q, ends_k, rate, scale, rng)


@varlen_backward.register_fake
def _(gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    query, key, value, ends_q, ends_k, *ctx.rest = inputs
    ctx.save_for_backward(query, key, value, *output, ends_q, ends_k)


def _differentiate(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    of_query, of_key, of_value = varlen_backward(gradient, *ctx.saved_tensors, *ctx.rest)
    return of_query, of_key, of_value, None, None, None, None, None, None


varlen.register_autograd(_differentiate, setup_context=_keep)


def _kernel(query: Tensor) -> Literal["flash", "efficient", "rectangles"]:
    if query.device.type != "cuda":
        return "rectangles"
    return "flash" if query.dtype in (torch.float16, torch.bfloat16) else "efficient"


def _padded(packed: Tensor) -> Tensor:
    lacking = -packed.shape[-1] % _MULTIPLE
    return functional.pad(packed, (0, lacking)) if lacking else packed


def _as_batch(*packed: Tensor) -> tuple[Tensor, ...]:
    """As a batch of one row, which is how the memory-efficient kernel is given cumulative lengths."""
    return tuple(each.unsqueeze(0) for each in packed)
