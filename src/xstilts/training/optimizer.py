"""The optimizer and its learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xstilts.config.training import Training

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
"""By their names in a recipe."""

MOMENTS: dict[type[torch.optim.Optimizer], tuple[str, ...]] = {
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq"),
    torch.optim.SGD: (),
}
"""What each keeps of a parameter, beside the number of updates."""


def learning_rate(step: int, num_steps: int, training: Training) -> float:
    """Rate of the step with this number, from 0: linear warm-up from 0, then linear decay to 0."""
    num_warmup = int(training.warmup * num_steps)
    if step < num_warmup:
        return training.lr * (step + 1) / num_warmup
    return training.lr * (num_steps - step) / max(1, num_steps - num_warmup)


def parameter_groups(model: nn.Module, training: Training) -> list[dict[str, Any]]:
    """What is not frozen in groups, as an optimizer takes them: decay on the encoder's matrices, adapters' among them,
    only.

    Heads carry no weight decay because an absent head would decay; biases and LayerNorm carry none as usual.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        (decayed if name.startswith("encoder.") and parameter.ndim >= 2 else plain).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay}
        for parameters, decay in ((decayed, training.weight_decay), (plain, 0.0))
        if parameters
    ]


def make_optimizer(groups: Sequence[dict[str, Any]], training: Training) -> torch.optim.Optimizer:
    """AdamW or SGD."""
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=training.lr)
    return torch.optim.AdamW(groups, lr=training.lr, betas=training.betas, eps=training.eps, fused=True)
