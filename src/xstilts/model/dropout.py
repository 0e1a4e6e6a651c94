"""Dropout whose masks are cheap on the CPU: four elements are decided by one 64-bit random number.

Drawing an element costs PyTorch's `bernoulli_` about 7 ns there, more than multiplying it by its share of a matrix in a
small model. Here the rate is a multiple of 1/65536, and what is kept is scaled by exactly its inverse, so the
expectation is that of the input. The stream is a function of the generator's seed on every processor, which that of
`bernoulli_` is not. On other devices PyTorch's own dropout is fast, and is used.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

_LANES = 4
_NUM_LEVELS = 2**16


class Dropout(nn.Dropout):
    """`nn.Dropout` with the masks of this module."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return dropout(given, self.p) if self.training else given


def use_cheap_masks(model: nn.Module) -> None:
    """Lets every dropout of a model draw its masks here."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout


def dropout(given: torch.Tensor, rate: float) -> torch.Tensor:
    """Zeroes elements with probability `rate` and scales up the others."""
    if given.device.type != "cpu":
        return functional.dropout(given, rate)
    if round(rate * _NUM_LEVELS) == 0:
        return given
    return given * (_traced_mask(given.detach(), rate) if torch.compiler.is_compiling() else keep_mask(given, rate))


def keep_mask(like: torch.Tensor, rate: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Of a tensor's shape and type, on the CPU: 0 where an element is dropped, else what it is scaled by.

    Without a generator the default one draws.
    """
    num_dropped = round(rate * _NUM_LEVELS)
    if num_dropped == _NUM_LEVELS:
        return torch.zeros(like.shape, dtype=like.dtype)
    count = like.numel()
    numbers = torch.empty(-(-count // _LANES), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    levels = numbers.view(torch.int16)[:count].view(like.shape)
    kept = torch.empty(like.shape, dtype=like.dtype)
    # Into 0 and 1 of that type at once: to booleans and from these takes three times as long.
    torch.ge(levels, num_dropped - _NUM_LEVELS // 2, out=kept)
    return kept.mul_(_NUM_LEVELS / (_NUM_LEVELS - num_dropped))


@torch.library.custom_op("xstilts::keep_mask", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def _traced_mask(like: torch.Tensor, rate: float) -> torch.Tensor:
    """`keep_mask` by the default generator, for `torch.compile`, which knows no `random_`."""
    return keep_mask(like, rate)


@_traced_mask.register_fake
def _(like: torch.Tensor, rate: float) -> torch.Tensor:
    return torch.empty_like(like)
