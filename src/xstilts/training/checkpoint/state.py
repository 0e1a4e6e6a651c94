"""Master weights and moments by parameter name, whole, at any ZeRO stage: out of an engine and back into one.

A name and a full fp32 tensor mean the same at every stage and world size, which is what lets a run go on elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
    safe_set_local_fp32_param,
    safe_set_local_optimizer_state,
)

from xstilts.distributed import dist
from xstilts.model.vocabulary import EMBEDDINGS
from xstilts.training.engine import Engine
from xstilts.training.optimizer import MOMENTS

MASTER = "master"
"""Key of the weights themselves, beside the optimizer's own state keys."""

_SCALING = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")


def keys(engine: Engine) -> tuple[str, ...]:
    """What is kept of each parameter."""
    return (MASTER, *MOMENTS[type(_base_optimizer(engine))])


def read(
    engine: Engine,
    kinds: tuple[str, ...],
    wanted: Callable[[int], bool] = lambda index: True,
    names: Sequence[str] | None = None,
) -> Iterator[tuple[str, str, Iterator[torch.Tensor]]]:
    """(parameter, key, full fp32 tensor) for every trained parameter, in the order of `names`, or else in the model's;
    a collective.

    The tensor is given in parts along its first dimension: one, but for the embedding matrix of which some rows are
    trained.

    Parts are only valid until the next is asked for. Only those whose index is `wanted` are given; where the
    engine trains some vocabulary rows, rank 0 alone may want the embedding matrix, which is the model's first.
    """
    if kinds != (MASTER,):
        _link_moments(engine)
    pairs = [(name, engine.trained[name], key) for name in names or engine.trained for key in kinds]
    for index, (name, parameter, key) in enumerate(pairs):
        tensor = _get(engine, parameter, key).detach()
        if not wanted(index):
            continue
        if engine.rows and name == EMBEDDINGS:
            rows = engine.rows
            yield name, key, rows.weights(tensor, engine.decay) if key == MASTER else rows.moments(tensor)
        else:
            yield name, key, iter((tensor,))


def shapes(
    engine: Engine, kinds: tuple[str, ...], wanted: Callable[[int], bool] = lambda index: True
) -> dict[tuple[str, str], tuple[int, ...]]:
    """(parameter, key) -> shape of the full tensor, of all that `read` gives, in its order."""
    pairs = [(name, parameter, key) for name, parameter in engine.trained.items() for key in kinds]
    return {(name, key): _shape(engine, name, p) for i, (name, p, key) in enumerate(pairs) if wanted(i)}


def num_updates(engine: Engine) -> int:
    """Updates that the optimizer counts for its bias correction; 0 where it keeps no moments."""
    counts = {int(kept["step"]) for kept in _base_optimizer(engine).state.values() if "step" in kept}
    assert len(counts) <= 1, "parameters were updated unequally often"
    return counts.pop() if counts else 0


def loss_scaling(engine: Engine) -> dict[str, float]:
    """The state of fp16's dynamic loss scaler; empty without one."""
    scaler = getattr(engine.deepspeed.optimizer, "loss_scaler", None)
    return {name: getattr(scaler, name) for name in _SCALING} if isinstance(scaler, DynamicLossScaler) else {}


def set_loss_scaling(engine: Engine, saved: Mapping[str, float]) -> None:
    """Puts back what `loss_scaling` gave; without it fp16 would skip steps until it has found its scale again."""
    if loss_scaling(engine):
        for name, value in saved.items():
            setattr(engine.deepspeed.optimizer.loss_scaler, name, value)


def write(engine: Engine, updates: int, tensors: Callable[[str, str], torch.Tensor]) -> None:
    """Puts saved state into a fresh engine whose module was built with the saved master weights.

    `tensors` is called as `tensors(name, key)`; `updates` is the number of optimizer updates done.
    """
    moments = keys(engine)[1:]
    if moments and updates:
        _make_moments(engine, updates, moments)
    for name, parameter in engine.trained.items():
        for key in (MASTER, *(moments if updates else ())):
            full = tensors(name, key)
            if engine.rows and name == EMBEDDINGS:
                full = engine.rows.select(full)
            _set(engine, parameter, key, full.to(dist.device(), torch.float32))


def _base_optimizer(engine: Engine) -> torch.optim.Optimizer:
    optimizer = engine.deepspeed.optimizer
    return optimizer if engine.stage == 0 else optimizer.optimizer


def _shape(engine: Engine, name: str, parameter: torch.nn.Parameter) -> tuple[int, ...]:
    if engine.rows and name == EMBEDDINGS:
        return engine.rows.num_pieces, engine.rows.width
    return tuple(getattr(parameter, "ds_shape", parameter.shape))


def _get(engine: Engine, parameter: torch.nn.Parameter, key: str) -> torch.Tensor:
    if engine.stage == 0:
        return parameter if key == MASTER else _base_optimizer(engine).state[parameter][key]
    if key == MASTER:
        return safe_get_full_fp32_param(parameter)
    return safe_get_full_optimizer_state(parameter, key)


def _set(engine: Engine, parameter: torch.nn.Parameter, key: str, full: torch.Tensor) -> None:
    if engine.stage == 0:
        target = parameter.data if key == MASTER else _base_optimizer(engine).state[parameter][key]
        target.copy_(full)
    elif engine.stage == 3:
        # The full-tensor setter of 0.19.8 cuts past the end where a parameter does not divide by the world size.
        width: int = parameter.ds_tensor.numel()  # type: ignore[attr-defined]
        padded = torch.zeros(width * dist.world_size(), dtype=torch.float32, device=full.device)
        padded[: full.numel()] = full.flatten()
        local = padded.narrow(0, width * dist.rank(), width)
        if key == MASTER:
            safe_set_local_fp32_param(parameter, local)
        else:
            safe_set_local_optimizer_state(parameter, local, key)
    elif key == MASTER:
        safe_set_full_fp32_param(parameter, full)
    else:
        safe_set_full_optimizer_state(parameter, full, key)


def _make_moments(engine: Engine, updates: int, moments: tuple[str, ...]) -> None:
    """The state that torch would make at the first step, which DeepSpeed links to its parameters then; of what ranks
    share it is there before."""
    base = _base_optimizer(engine)
    zero = engine.deepspeed.optimizer
    held = [parameter for group in base.param_groups for parameter in group["params"]]
    flat = zero.fp32_partitioned_groups_flat if engine.stage == 3 else held
    for parameter in flat:
        if parameter in base.state:
            base.state[parameter]["step"].fill_(updates)
            continue
        base.state[parameter] = {
            "step": torch.tensor(float(updates), device=parameter.device),  # where the fused AdamW wants it
            **{key: torch.zeros_like(parameter, memory_format=torch.preserve_format) for key in moments},
        }
    _link_moments(engine)


def _link_moments(engine: Engine) -> None:
    """Lets parameters find their moments at stages 1 and 2.

    DeepSpeed 0.19.8 links them once, after the first parameter group has stepped, when others have no state yet.
    """
    if engine.stage in (1, 2):
        zero = engine.deepspeed.optimizer
        zero._hp_optimizer_states_linked = False
        zero._lazy_init_hp_params_optimizer_state()
