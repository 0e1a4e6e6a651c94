"""Masks from lanes of random numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xstilts.model.dropout import Dropout, dropout, use_cheap_masks


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.003])
def test_elements_are_dropped_at_the_rate_and_the_others_scaled(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    given = torch.ones(1_000_003, dtype=dtype)  # no multiple of a number's lanes
    found = dropout(given, rate)
    assert found.dtype == dtype
    exact = round(rate * 65536) / 65536
    kept = found != 0
    deviation = (exact * (1 - exact) / len(given)) ** 0.5
    assert 1 - kept.float().mean().item() == pytest.approx(exact, abs=4 * deviation)
    assert (found[kept] == torch.tensor(1 / (1 - exact), dtype=dtype)).all()
    for lag in (1, 2, 3, 4):
        both = (~kept[lag:] & ~kept[:-lag]).float().mean().item()
        assert both == pytest.approx(exact**2, abs=4 * exact / len(given) ** 0.5), "neighbours are independent"


def test_the_gradient_passes_where_the_input_does() -> None:
    given = torch.randn(50, 7, requires_grad=True)
    found = dropout(given, 0.5)
    found.sum().backward()
    assert given.grad is not None
    torch.testing.assert_close(given.grad * given.detach(), found.detach())


def test_the_seed_alone_decides() -> None:
    given = torch.ones(1000)
    torch.manual_seed(5)
    first = dropout(given, 0.1)
    other = dropout(given, 0.1)
    torch.manual_seed(5)
    assert torch.equal(dropout(given, 0.1), first)
    assert not torch.equal(other, first)


def test_a_model_s_dropouts_are_replaced_and_rest_in_evaluation() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    use_cheap_masks(model)
    assert type(model[1]) is Dropout
    given = torch.ones(4, 3)
    assert torch.equal(model[1].eval()(given), given)
    assert not torch.equal(model[1].train()(torch.ones(1000)), torch.ones(1000))
    assert torch.equal(dropout(given, 0.0), given)
    assert not dropout(given, 1.0).any()
