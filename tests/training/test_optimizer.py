"""The schedule by hand, and what decays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xstilts.config.training import Training
from xstilts.training.optimizer import learning_rate, make_optimizer, parameter_groups


@pytest.mark.parametrize(
    ("num_steps", "warmup", "rates"),
    [
        (10, 0.2, [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]),
        (4, 0.0, [1.0, 0.75, 0.5, 0.25]),
        (4, 1.0, [0.25, 0.5, 0.75, 1.0]),
        (3, 0.1, [1.0, 2 / 3, 1 / 3]),  # a tenth of three steps is none
        (1, 0.1, [1.0]),
    ],
)
def test_the_rate_rises_to_its_peak_and_falls_towards_zero(num_steps: int, warmup: float, rates: list[float]) -> None:
    training = Training(steps=num_steps, lr=2e-5, warmup=warmup)
    found = [learning_rate(step, num_steps, training) for step in range(num_steps)]
    assert found == pytest.approx([2e-5 * rate for rate in rates])


class Model(nn.Module):
    """Named as the real one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4))
        self.heads = nn.ModuleDict({"mlm_text": nn.Linear(4, 5), "mnli": nn.Linear(4, 3)})
        self.heads["mlm_text"].weight = self.encoder[0].weight


def test_only_the_encoders_matrices_decay_and_tied_ones_once() -> None:
    model = Model()
    training = Training(steps=1, weight_decay=0.3)
    optimizer = make_optimizer(parameter_groups(model, training), training)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name for name, p in model.named_parameters() if decay[id(p)]} == {"encoder.0.weight", "encoder.1.weight"}
    assert set(decay.values()) == {0.3, 0.0}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters())) == 8


def test_the_recipes_numbers_reach_the_optimizer() -> None:
    training = Training(steps=1, lr=3e-4, betas=(0.8, 0.95), eps=1e-6)
    optimizer = make_optimizer(parameter_groups(Model(), training), training)
    assert type(optimizer) is torch.optim.AdamW
    assert (optimizer.defaults["betas"], optimizer.defaults["eps"], optimizer.defaults["lr"]) == (
        (0.8, 0.95),
        1e-6,
        3e-4,
    )


def test_sgd_is_plain() -> None:
    training = Training(steps=1, optimizer="sgd")
    optimizer = make_optimizer(parameter_groups(Model(), training), training)
    assert type(optimizer) is torch.optim.SGD
    assert optimizer.defaults["momentum"] == 0 and not optimizer.defaults["nesterov"]
