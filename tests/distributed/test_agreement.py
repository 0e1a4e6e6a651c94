"""Ranks that were given different things to compute say so; they would wait for each other otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from launch import run_ranks

from xstilts.config.load import load_recipe
from xstilts.core.errors import UserError
from xstilts.distributed import dist
from xstilts.study import open as module


def other_recipe() -> list[str]:
    return ["training.lr=2e-3"]


def other_deepspeed_file() -> list[str]:
    real = module.load_deepspeed_config

    def load(name: str) -> Any:
        module.load_deepspeed_config = real
        return replace(real(name), values={**real(name).values, "wall_clock_breakdown": True})

    module.load_deepspeed_config = load
    return []


def other_source() -> list[str]:
    module.source_digest = lambda: "other"
    return []


OTHERS: dict[str, Callable[[], list[str]]] = {
    "recipe": other_recipe,
    "DeepSpeed file": other_deepspeed_file,
    "source of xstilts": other_source,
}


def open_differently(recipe: Path, run_dir: Path) -> list[str]:
    """Runs in every rank: what is told when rank 1 alone has something else."""
    told = []
    for make in OTHERS.values():
        overrides = make() if dist.rank() == 1 else []
        try:
            module.open_study(load_recipe(str(recipe), overrides), run_dir, device=None)
            told.append("opened")
        except UserError as error:
            told.append(str(error))
    return told


@pytest.fixture(scope="module")
def told(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    folder = tmp_path_factory.mktemp("agreement")
    recipe = tiny.write_recipe(
        folder / "recipe.yaml", tiny_world, deepspeed="zero1_fp32_cpu", training={"steps": 2}, tasks=["mnli"]
    )
    return run_ranks(open_differently, 2, recipe, folder / "run")


@pytest.mark.parametrize("what", OTHERS)
def test_every_rank_names_the_one_that_differs(told: list[list[str]], what: str) -> None:
    for message in (of_rank[list(OTHERS).index(what)] for of_rank in told):
        assert message.startswith(f"the {what} of rank 1 (host ")
        assert "is not that of rank 0 (host " in message and message.endswith("; give every host the same")
