"""State out of an engine and into another; ZeRO's stages are in tests/distributed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler

from xstilts.training.checkpoint import state


def copy_state(of: Any) -> dict[tuple[str, str], torch.Tensor]:
    return {
        (name, key): torch.cat(list(parts)).clone() for name, key, parts in state.read(of.itself, state.keys(of.itself))
    }


def test_an_engine_that_was_given_the_state_goes_on_as_the_one_it_was_taken_from(engine: Any, new_engine: Any) -> None:
    engine.train(0, 3)
    other = new_engine(1)
    saved = copy_state(engine)
    state.write(other.itself, state.num_updates(engine.itself), lambda name, key: saved[name, key])
    engine.train(3, 6)
    other.train(3, 6)
    assert all(torch.equal(a, b) for a, b in zip(engine.parameters.values(), other.parameters.values(), strict=True))
    assert all(torch.equal(tensor, copy_state(other)[place]) for place, tensor in copy_state(engine).items())


def test_master_weights_and_two_moments_of_every_parameter_are_kept(engine: Any) -> None:
    engine.train(0, 1)
    assert state.keys(engine.itself) == ("master", "exp_avg", "exp_avg_sq")
    assert len(copy_state(engine)) == 3 * 6


def test_updates_are_counted_by_the_optimizer(engine: Any) -> None:
    assert state.num_updates(engine.itself) == 0
    engine.train(0, 4)
    assert state.num_updates(engine.itself) == 4


def test_plain_sgd_has_no_moments(engine: Any) -> None:
    engine.deepspeed.optimizer = torch.optim.SGD(engine.model.parameters(), lr=0.1)
    assert state.keys(engine.itself) == ("master",)
    assert state.num_updates(engine.itself) == 0


def test_fp16_goes_on_with_the_scale_it_had_found(
    engine: Any, new_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepspeed.runtime.fp16.loss_scaler.dist.get_rank", lambda: 1)  # it would print on rank 0

    def scaler() -> DynamicLossScaler:
        return DynamicLossScaler(2**16, scale_window=2, min_scale=1, delayed_shift=2, consecutive_hysteresis=False)

    other = new_engine(1)
    engine.optimizer.loss_scaler, other.optimizer.loss_scaler = scaler(), scaler()
    for overflow in (True, True, False, False, True):
        engine.optimizer.loss_scaler.update_scale(overflow)
    assert engine.optimizer.loss_scaler.cur_scale != 2**16
    state.set_loss_scaling(other.itself, state.loss_scaling(engine.itself))
    for overflow in (False, True, True, False, False):
        engine.optimizer.loss_scaler.update_scale(overflow)
        other.optimizer.loss_scaler.update_scale(overflow)
        assert other.optimizer.loss_scaler.cur_scale == engine.optimizer.loss_scaler.cur_scale


@pytest.mark.parametrize("saved", [{}, {"cur_scale": 8.0}])
def test_without_a_loss_scaler_there_is_nothing_to_set(engine: Any, saved: dict[str, float]) -> None:
    assert state.loss_scaling(engine.itself) == {}
    state.set_loss_scaling(engine.itself, saved)
