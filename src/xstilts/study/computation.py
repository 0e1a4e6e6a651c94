"""What of `runtime` does not go together with a DeepSpeed file or a device, told before anything is computed."""

from __future__ import annotations

from xstilts.config.deepspeed import DeepSpeedJson
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError

_AMPERE = (8, 0)
"""Compute capability."""


def check_computation(recipe: Recipe, deepspeed: DeepSpeedJson, device: str | None) -> None:
    """Raises `UserError` if layers cannot be compiled or attention not trained so; `device`: None if not known."""
    runtime = recipe.runtime
    if runtime.compile and deepspeed.zero_stage == 3:
        raise UserError(
            "runtime.compile: ZeRO-3 takes a layer's weights away between its uses, which cannot be compiled; "
            "take a file of ds_configs/ with stage 0 to 2, or set it to false"
        )
    if runtime.attention == "rectangles" or device != "cuda":
        return
    if deepspeed.precision != "fp32":
        _check_generation()
    elif recipe.model.config.get("attention_probs_dropout_prob") != 0:
        raise UserError(
            "runtime.attention: varlen has no dropout in fp32 on a GPU; take a bf16 file of ds_configs/, "
            "rectangles, or attention_probs_dropout_prob: 0 in model.config"
        )


def _check_generation() -> None:
    import torch  # a plan does without it

    if torch.cuda.get_device_capability() < _AMPERE:
        name = torch.cuda.get_device_name()
        raise UserError(f"runtime.attention: varlen needs an Ampere GPU or a newer one, not {name}; take rectangles")
