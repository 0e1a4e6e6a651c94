"""Training by plain PyTorch in one process: what every ZeRO stage on every number of ranks is held against.

It shares the data and the modules with the program, and nothing of training: no DeepSpeed, and a head that is absent
from a micro-batch is not run, and gets a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import tiny
import torch

from xstilts.core.seeds import derive_seed
from xstilts.data.batch import PackedBatch
from xstilts.data.loader import StepLoader
from xstilts.model.multitask import MultiTaskModel


def train_plainly(
    model: MultiTaskModel,
    loader: StepLoader,
    loss_of: Callable[[MultiTaskModel, PackedBatch], torch.Tensor],
    averaged: Collection[int] = (),
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Loss of each step and the last parameters, of what is not frozen; or the mean of the parameters after the
    `averaged` steps."""
    training, num_steps = loader.training, loader.training.steps
    assert num_steps is not None
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    matrices = [p for name, p in named.items() if name.startswith("encoder.") and p.ndim >= 2]
    others = [p for p in named.values() if all(p is not m for m in matrices)]
    groups = [{"params": matrices, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if training.optimizer == "adamw":
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            groups, lr=training.lr, betas=training.betas, eps=training.eps
        )
    else:
        optimizer = torch.optim.SGD(groups, lr=training.lr)
    losses, kept = [], []
    model.train()
    for step in range(num_steps):
        total = 0.0
        for micro in loader.load(step, 0, 1):
            torch.manual_seed(derive_seed(tiny.SEED, "dropout", step, micro.index))
            loss = loss_of(model, micro.batch)
            loss.backward()
            total += loss.item()
        for parameter in named.values():
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.nn.utils.clip_grad_norm_(named.values(), training.max_grad_norm)
        num_warmup = int(training.warmup * num_steps)
        rising, falling = (step + 1) / num_warmup, (num_steps - step) / (num_steps - num_warmup)
        for group in optimizer.param_groups:
            group["lr"] = training.lr * (rising if step < num_warmup else falling)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
        if step + 1 in (averaged or {num_steps}):
            kept.append({name: parameter.detach().clone() for name, parameter in named.items()})
    return losses, {name: torch.stack([of_one[name] for of_one in kept]).mean(0) for name in named}


def loss_of_present_heads(model: MultiTaskModel, batch: PackedBatch) -> torch.Tensor:
    read = model._encode(batch).split([len(batch.heads[name].positions_T) for name in model.heads])
    present = [
        (head, hidden, batch.heads[name])
        for (name, head), hidden in zip(model.heads.items(), read, strict=True)
        if len(batch.heads[name].weights)
    ]
    return torch.stack(
        [(head.losses(head(hidden, given), given) * given.weights).sum() for head, hidden, given in present]
    ).sum()
