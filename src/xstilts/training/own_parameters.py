"""Parameters of a rank's own, made of weights that are views of a file.

A model is given as views of the mapped file that it was read from, whose pages all ranks of a host share and the kernel
can take back. DeepSpeed writes into parameters: it broadcasts rank 0's into them, casts all of them before ZeRO-3 takes
its part of any, and updates them in place. So each parameter is copied first, and at ZeRO-3 divided before the next one
is copied: a rank never holds more than its part and one parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import deepspeed
import torch
from torch import nn

from xstilts.distributed import dist


def make_own(model: nn.Module, deepspeed_config: Mapping[str, Any], *, divide: bool) -> None:
    """Puts each parameter into this rank's memory, on its device and in the precision that is trained in; with `divide`
    its part alone, as ZeRO-3 has it: a collective then."""
    dtype = precision(deepspeed_config)
    first: Any = None
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dist.device(), dtype, copy=True)
        if not divide:
            continue
        if first is None:
            first = parameter
            deepspeed.zero.Init(module=nn.ParameterList([parameter]), config_dict_or_path=dict(deepspeed_config))
        else:
            first.convert_to_zero_parameters([parameter])
    if divide:
        # DeepSpeed leaves the buffers of a model that is divided already where they are.
        for buffer in model.buffers():
            buffer.data = buffer.data.to(dist.device())


def precision(deepspeed_config: Mapping[str, Any]) -> torch.dtype:
    """That parameters are trained in."""
    named = {"bf16": torch.bfloat16, "fp16": torch.float16}
    enabled = (dtype for name, dtype in named.items() if deepspeed_config.get(name, {}).get("enabled"))
    return next(enabled, torch.float32)
