"""ZeRO-0's update on CPUs, shared out over the ranks of one host.

A gradient of each rank, and one copy of parameters and moments for all of them, are flat vectors in memory that they
share. Each rank adds up, measures and updates a part of its own, as at ZeRO-1, and nobody has a copy to bring up to
date. DeepSpeed has gloo send gradients through sockets, and every rank do the whole update (benchmarks/trainer.md).

Whoever else writes into parameters or moments while a stage trains must write the same values on every rank: what is
computed from their values before would be so once by each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from deepspeed import comm
from torch import nn

from xstilts.config.training import Training
from xstilts.distributed import dist
from xstilts.distributed.shared_memory import share
from xstilts.training.optimizer import MOMENTS, OPTIMIZERS, make_optimizer

_LINE = 16
"""float32 of a cache line: each parameter begins with one, as in memory of its own, and no two ranks write to one."""

_CHUNK = 2**16
"""Elements that are added up at a time: of each rank they fit into a core's cache together."""

Groups = Sequence[dict[str, Any]]
"""As an optimizer takes them."""


class HostUpdate:
    """Takes the parameters into shared memory, and their gradients as backward makes them; updates by `optimizer`."""

    def __init__(self, groups: Groups, training: Training, memory: torch.Tensor) -> None:
        """`memory`: zeros that all ranks share, as many as `of` asks for. A collective: rank 0's values are those of
        all."""
        rank, world_size = dist.rank(), dist.world_size()
        head, num_vectors = _layout(training)
        vectors = list(memory[head:].view(num_vectors, -1))
        self._squares = memory[:head].view(torch.float64)[:world_size]
        """Squared norm of each rank's part of the gradient."""
        self._gradients, values, of_moments = vectors[:world_size], vectors[world_size], vectors[world_size + 1 :]
        moments = dict(zip(MOMENTS[OPTIMIZERS[training.optimizer]], of_moments, strict=True))
        num_lines = len(values) // _LINE
        self._first, self._last = (_LINE * (num_lines * r // world_size) for r in (rank, rank + 1))
        self._views: list[tuple[nn.Parameter, torch.Tensor]] = []
        """Each parameter, and its place in this rank's gradient."""
        self._pieces: list[tuple[nn.Parameter, torch.Tensor]] = []
        """This rank's part of each group, which may be empty, and that of its gradient."""
        state: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
        """Of the pieces; and of the model's parameters, for who asks for theirs."""
        end = 0
        for group in groups:
            begin, step = end, {"step": torch.zeros(())} if moments else {}
            for parameter in group["params"]:
                here, shape = slice(end, end + parameter.numel()), parameter.shape
                if rank == 0:
                    values[here].view(shape).copy_(parameter.data)
                parameter.data = values[here].view(shape)
                self._views.append((parameter, self._gradients[rank][here].view(shape)))
                state[parameter] = {**step, **{key: moment[here].view(shape) for key, moment in moments.items()}}
                end += _in_whole_lines(parameter.numel())
            own = slice(*(min(max(place, self._first), self._last) for place in (begin, end)))
            piece = nn.Parameter(values[own])
            self._pieces.append((piece, self._gradients[rank][own]))
            state[piece] = {**step, **{key: moment[own] for key, moment in moments.items()}}
        dist.barrier()
        self._hooks = [p.register_post_accumulate_grad_hook(partial(_take, view)) for p, view in self._views]
        own_groups = [{**group, "params": [piece]} for group, (piece, _) in zip(groups, self._pieces, strict=True)]
        self.optimizer = make_optimizer(own_groups, training)
        """Its step is a collective, after which the parameters are new on every rank; where the gradient is not finite
        it changes nothing."""
        self.optimizer.state.update(state)
        self.optimizer.register_step_pre_hook(lambda *_: self._exchange())
        self.optimizer.register_step_post_hook(lambda *_: comm.barrier())
        self._max_grad_norm = training.max_grad_norm
        self.grad_norm = 0.0
        """Global norm of the last step's gradient before clipping; infinite where that is not finite."""

    @classmethod
    def of(cls, groups: Groups, training: Training) -> HostUpdate | None:
        """Of float32 parameters in host memory; None where the ranks share no memory, or not enough. A collective."""
        head, num_vectors = _layout(training)
        length = sum(_in_whole_lines(parameter.numel()) for group in groups for parameter in group["params"])
        memory = share(head + num_vectors * length)
        return None if memory is None else cls(groups, training, memory)

    def close(self) -> None:
        """Lets go of the parameters."""
        for hook in self._hooks:
            hook.remove()

    def _exchange(self) -> None:
        """Gives each piece its gradient: the sum over ranks, those that a rank lacks counting as zeros, clipped.

        DeepSpeed's barriers are used: the time in them counts as waiting for others.
        """
        for parameter, view in self._views:
            if parameter.grad is None:
                view.zero_()
        comm.barrier()
        self._squares[dist.rank()] = self._add_up()
        comm.barrier()
        norm = math.sqrt(sum(self._squares.tolist()))
        self.grad_norm = norm if math.isfinite(norm) else math.inf
        for piece, gradient in self._pieces:
            piece.grad = None if self.grad_norm == math.inf else gradient
        if self._max_grad_norm:
            self._divide_by(max(1.0, (self.grad_norm + 1e-6) / self._max_grad_norm))

    def _add_up(self) -> float:
        """Puts the sum over ranks, in the order of their numbers, into this rank's part of its own gradient. Returns
        its squared norm: that of a chunk in float32, added up in float64."""
        square = 0.0
        buffer = torch.empty(_CHUNK)
        for first in range(self._first, self._last, _CHUNK):
            here = slice(first, min(first + _CHUNK, self._last))
            parts = [gradient[here] for gradient in self._gradients]
            total = parts[0]
            for part in parts[1:]:
                total = torch.add(total, part, out=buffer[: len(part)])
            if len(parts) > 1:
                parts[dist.rank()].copy_(total)
            square += float(total.dot(total))
        return square

    def _divide_by(self, divisor: float) -> None:
        """As `clip_grads_with_norm_` clips, by the fused AdamW itself, which spares a pass over the gradient."""
        if self.optimizer.defaults["fused"]:
            self.optimizer.grad_scale = torch.tensor(divisor) if divisor > 1 else None  # type: ignore[attr-defined]
        elif divisor > 1:
            for piece, _ in self._pieces:
                if piece.grad is not None:
                    piece.grad /= divisor


def _take(view: torch.Tensor, parameter: torch.Tensor) -> None:
    """Once there has been one, further gradients are added in its place."""
    if parameter.grad is not view:
        assert parameter.grad is not None
        view.copy_(parameter.grad)
        parameter.grad = view


def _layout(training: Training) -> tuple[int, int]:
    """Of the memory: elements before the vectors, and number of the vectors, which are of equal length."""
    world_size = dist.world_size()
    return _in_whole_lines(2 * world_size), world_size + 1 + len(MOMENTS[OPTIMIZERS[training.optimizer]])


def _in_whole_lines(size: int) -> int:
    return math.ceil(size / _LINE) * _LINE
