"""An engine of plain PyTorch that checkpoints can be taken from: stage 0 without DeepSpeed or a process group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import nn

from xstilts.training.engine import Engine


class PlainEngine:
    """What `state` needs of an engine."""

    stage = 0
    rows = None
    frozen: Mapping[str, torch.Tensor] = {}
    decay = 1.0

    def __init__(self, seed: int) -> None:
        self.model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
        with torch.no_grad():
            for i, parameter in enumerate(self.model.parameters()):
                parameter.normal_(generator=torch.Generator().manual_seed(100 * seed + i))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.deepspeed = SimpleNamespace(optimizer=self.optimizer)

    def train(self, first: int, last: int) -> None:
        """Steps [first, last), each a function of its number."""
        for step in range(first, last):
            inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
            self.model(inputs).square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        return dict(self.model.named_parameters())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(parameter.shape) for name, parameter in self.model.named_parameters()}

    @property
    def itself(self) -> Engine:
        return cast(Engine, self)


@pytest.fixture
def engine() -> PlainEngine:
    """Not trained yet."""
    return PlainEngine(seed=0)


@pytest.fixture
def new_engine() -> Callable[[int], PlainEngine]:
    """By seed."""
    return PlainEngine
