"""A compact table against the whole one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xstilts.model import vocabulary
from xstilts.model.vocabulary import CompactEmbedding, TrainedRows

IDS = torch.tensor([0, 2, 3, 7])


def test_ids_stay_those_of_the_vocabulary() -> None:
    whole = torch.randn(10, 4)
    compact = CompactEmbedding(whole, IDS)
    assert compact.weight.shape == (4, 4)
    given = torch.tensor([[7, 0, 3, 3]])
    assert torch.equal(compact(given), whole[given])


def test_an_id_that_was_not_foreseen_is_an_error() -> None:
    with pytest.raises(IndexError):
        CompactEmbedding(torch.randn(10, 4), IDS)(torch.tensor([1]))


def test_the_weight_is_a_copy() -> None:
    whole = torch.zeros(10, 4)
    with torch.no_grad():
        CompactEmbedding(whole, IDS).weight.fill_(1.0)
    assert not whole.any()


@pytest.fixture(autouse=True, params=[3, 8192], ids="{} rows at a time".format)
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_ROWS", request.param)


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_what_is_left_out_becomes_what_an_optimizer_would_make_of_it(optimizer: type[torch.optim.Optimizer]) -> None:
    start = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    whole, compact = nn.Parameter(start.clone()), CompactEmbedding(start, IDS)
    rows = TrainedRows(IDS, 10, 4, start)
    of_whole = optimizer([whole], lr=0.1, weight_decay=0.3)  # type: ignore[call-arg]
    of_rows = optimizer(compact.parameters(), lr=0.1, weight_decay=0.3)  # type: ignore[call-arg]
    decay = 1.0
    for step in range(5):
        for group in (*of_whole.param_groups, *of_rows.param_groups):
            group["lr"] = 0.1 / (step + 1)
        given = IDS[step % 3 :]
        for table in (lambda ids: nn.functional.embedding(ids, whole), compact):
            (table(given) ** 3).sum().backward()
        for each in (of_whole, of_rows):
            each.step()
            each.zero_grad()
        decay *= 1 - 0.1 / (step + 1) * 0.3
    expanded = torch.cat(list(rows.weights(compact.weight.detach(), decay)))
    torch.testing.assert_close(expanded, whole.detach(), rtol=1e-6, atol=1e-6)
    assert (expanded - start).abs().max() > 0.1
    if optimizer is torch.optim.AdamW:
        moments = torch.cat(list(rows.moments(of_rows.state[compact.weight]["exp_avg_sq"])))
        torch.testing.assert_close(moments, of_whole.state[whole]["exp_avg_sq"], rtol=1e-6, atol=1e-6)
        assert torch.equal(rows.select(moments), of_rows.state[compact.weight]["exp_avg_sq"])


def test_resuming_changes_no_bit_of_what_is_left_out() -> None:
    start, trained = torch.randn(10, 4), torch.randn(4, 4)
    unbroken = TrainedRows(IDS, 10, 4, start)
    saved = torch.cat(list(unbroken.weights(trained, 0.7)))
    resumed = TrainedRows(IDS, 10, 4, saved)
    resumed.go_on(start, 0.7)
    assert torch.equal(
        torch.cat(list(resumed.weights(trained, 0.7 * 0.9))), torch.cat(list(unbroken.weights(trained, 0.7 * 0.9)))
    )


def test_saved_rows_count_where_the_stage_before_has_changed() -> None:
    saved, trained = torch.randn(10, 4), torch.randn(4, 4)
    resumed = TrainedRows(IDS, 10, 4, saved)
    resumed.go_on(torch.randn(10, 4), 0.7)
    found = torch.cat(list(resumed.weights(trained, 0.7 * 0.9)))
    left_out = [1, 4, 5, 6, 8, 9]
    torch.testing.assert_close(found[left_out], 0.9 * saved[left_out])
    assert torch.equal(found[IDS], trained)
