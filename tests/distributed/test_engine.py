"""What an engine predicts in half precision, what it holds while it is made, and what it leaves behind."""

from __future__ import annotations

import functools
import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from deepspeed.runtime.zero.partition_parameters import Init
from launch import run_ranks

from xstilts.config.training import Mixing, Training
from xstilts.training.engine import Engine

pytestmark = pytest.mark.timeout(600)  # a launch serves all tests, and the cores may be shared

CONFIGS = ((0, "fp32"), (1, "bf16"), (2, "bf16"), (3, "bf16"))


@dataclass(frozen=True)
class Seen:
    size: int
    """Bytes of the model's weights in fp32."""
    held: int
    """Bytes of all tensors after a step, beyond those before."""
    left: int
    """The same when the engine is closed, while the model and the engine are still there."""
    scores: torch.dtype
    own: list[int]
    """As ZeRO-3 begins with each parameter: how many are whole in memory other than what was given."""


@functools.cache
def seen(world: Path) -> dict[tuple[int, str], Seen]:
    tiny.catalogue(world)
    return run_ranks(train_and_close, 1, world)[0]


def train_and_close(world: Path) -> dict[tuple[int, str], Seen]:
    """Runs in the rank."""
    training = Training(steps=1, batch_size=8)
    loader = tiny.loader(world, tiny.ALL_HEADS, training, Mixing(weighting="uniform"), token_budget=320)
    (batch, *_) = (micro.batch for micro in loader.load(0, 0, 1))
    found = {}
    divide = Init._convert_to_deepspeed_param
    for config in CONFIGS:
        before = tensor_bytes()
        model = tiny.model(world, tiny.ALL_HEADS)
        size = 4 * sum(parameter.numel() for parameter in model.parameters())
        given = {parameter: parameter.data_ptr() for parameter in model.parameters()}
        own: list[int] = []

        def count(init: Init, parameter: torch.Tensor, given: Any = given, own: list[int] = own) -> None:
            own.append(sum(p.numel() > 0 and p.data_ptr() != place for p, place in given.items()))
            divide(init, parameter)

        Init._convert_to_deepspeed_param = count
        engine = Engine(model, training, tiny.deepspeed_json(*config))
        engine.backward(batch, 1)
        engine.step(1e-3)
        dtype = engine.evaluate(batch, "logits")["squad_v2"].dtype
        held = tensor_bytes() - before
        engine.close()
        found[config] = Seen(size, held, tensor_bytes() - before, dtype, own)
    return found


def tensor_bytes() -> int:
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if isinstance(thing, torch.Tensor)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_closed_engine_holds_no_weights_and_no_moments(tiny_world: Path, config: tuple[int, str]) -> None:
    found = seen(tiny_world)[config]
    assert found.held > 3 * found.size, "weights and two moments were there"
    assert found.left < 0.1 * found.size


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_scores_are_fp32_in_every_precision(tiny_world: Path, config: tuple[int, str]) -> None:
    assert seen(tiny_world)[config].scores == torch.float32


def test_one_parameter_after_the_other_is_copied_and_divided(tiny_world: Path) -> None:
    own = seen(tiny_world)[3, "bf16"].own
    assert len(own) > 30 and set(own) == {1}
