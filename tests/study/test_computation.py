"""Options of `runtime` that a DeepSpeed file or a device rules out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from xstilts.config.deepspeed import load_deepspeed_config
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.study.computation import check_computation
from xstilts.study.open import planned_study

MakeRecipe = Callable[..., Recipe]


def check(made: Recipe, device: str | None) -> None:
    check_computation(made, load_deepspeed_config(made.runtime.deepspeed), device)


def runtime(deepspeed: str, **others: Any) -> dict[str, Any]:
    return {"deepspeed": deepspeed, "tokens_per_micro_batch": 1024, "attention": "varlen", **others}


def test_layers_are_not_compiled_at_zero_3_and_a_plan_says_so(recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^runtime.compile: ZeRO-3 takes a layer's weights away .* stage 0 to 2"):
        planned_study(recipe(runtime=runtime("zero3_fp32_cpu", compile=True)), tmp_path)
    check(recipe(runtime=runtime("zero2_fp32_cpu", compile=True)), None)


def test_one_call_has_no_dropout_in_fp32_on_a_gpu(recipe: MakeRecipe) -> None:
    in_fp32 = runtime("zero1_fp32")
    with pytest.raises(UserError, match=r"^runtime.attention: varlen has no dropout in fp32 on a GPU; take a bf16"):
        check(recipe(runtime=in_fp32), "cuda")
    check(recipe(runtime=in_fp32), "cpu")
    without = {"config": {**recipe().model.config, "attention_probs_dropout_prob": 0.0}}
    check(recipe(runtime=in_fp32, model=without), "cuda")


def test_flash_attention_needs_a_gpu_that_has_it(recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe(runtime=runtime("zero1_bf16"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(UserError, match=r"^runtime.attention: varlen needs an Ampere GPU or a newer one, not Tesla T4"):
        check(made, "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    check(made, "cuda")
