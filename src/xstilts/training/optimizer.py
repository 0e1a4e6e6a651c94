"""The optimizer and its learning rate."""

from __future__ import annotations

import torch
from torch import nn

from xstilts.config.training import Training


def learning_rate(step: int, num_steps: int, training: Training) -> float:
    """Rate of the step with this number, from 0: linear warm-up from 0, then linear decay to 0."""
    num_warmup = int(training.warmup * num_steps)
    if step < num_warmup:
        return training.lr * (step + 1) / num_warmup
    return training.lr * (num_steps - step) / max(1, num_steps - num_warmup)


def make_optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW or SGD over what is not frozen, with decay on the encoder's matrices, adapters' among them, only.

    Heads carry no weight decay because an absent head would decay; biases and LayerNorm carry none as usual.
    """
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        (decayed if name.startswith("encoder.") and parameter.ndim >= 2 else plain).append(parameter)
    groups = [
        {"params": parameters, "weight_decay": decay}
        for parameters, decay in ((decayed, training.weight_decay), (plain, 0.0))
        if parameters
    ]
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=training.lr)
    return torch.optim.AdamW(groups, lr=training.lr, betas=training.betas, eps=training.eps, fused=True)
