"""Parameters that a rank may write into."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xstilts.training.own_parameters import make_own


@pytest.mark.parametrize(("config", "dtype"), [({}, torch.float32), ({"bf16": {"enabled": True}}, torch.bfloat16)])
def test_what_was_given_stays_as_it_is(config: dict[str, object], dtype: torch.dtype) -> None:
    model = nn.Linear(3, 2)
    given = {name: parameter.data for name, parameter in model.named_parameters()}
    before = {name: tensor.clone() for name, tensor in given.items()}
    parameters = list(model.parameters())
    make_own(model, config, divide=False)
    assert all(now is then for now, then in zip(model.parameters(), parameters, strict=True))
    for name, parameter in model.named_parameters():
        assert parameter.dtype == dtype and torch.equal(parameter, before[name].to(dtype))
        parameter.data.zero_()
        assert torch.equal(given[name], before[name])
