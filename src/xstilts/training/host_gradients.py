"""Gradients summed over the ranks of one host in memory that they share: for ZeRO-0 on a CPU.

DeepSpeed copies all gradients into one vector, has gloo send it, and copies them back. Here the vector is shared
memory, and after the sum the gradients are views of it: one copy in the place of two, and no socket.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from xstilts.distributed import dist
from xstilts.distributed.shared_memory import SharedSum, share_vector


class HostGradients:
    """The gradients of some float32 parameters in host memory."""

    def __init__(self, parameters: Sequence[nn.Parameter], shared: SharedSum | None) -> None:
        """`shared`: as long as the parameters together; None on a single rank, which has nothing to exchange."""
        self._parameters = parameters
        self._shared = shared
        self._views: list[torch.Tensor] = []
        if shared is not None:
            pieces = shared.own.split([parameter.numel() for parameter in parameters])
            self._views = [piece.view(parameter.shape) for piece, parameter in zip(pieces, parameters, strict=True)]

    @classmethod
    def of(cls, parameters: Sequence[nn.Parameter]) -> HostGradients | None:
        """None where the ranks share no memory, or not enough. A collective."""
        if dist.world_size() == 1:
            return cls(parameters, None)
        shared = share_vector(sum(parameter.numel() for parameter in parameters))
        return None if shared is None else cls(parameters, shared)

    def sum(self) -> None:
        """Makes each gradient its sum over the ranks, those that a rank lacks counting as zeros; a collective."""
        if self._shared is None:
            for parameter in self._parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            return
        for parameter, view in zip(self._parameters, self._views, strict=True):
            if parameter.grad is None:
                view.zero_()
            else:
                view.copy_(parameter.grad)
            parameter.grad = view
        self._shared.sum()
