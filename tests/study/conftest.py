"""A tiny world, recipes over it, and one rank to run them in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.distributed import dist
from xstilts.synthetic import write_world
from xstilts.synthetic.settings import World

MakeRecipe = Callable[..., Recipe]

TRAINING = {"steps": 2, "batch_size": 4, "lr": 1e-3}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with English and `qaa_Latn`."""
    root = tmp_path_factory.mktemp("world") / "world"
    sizes = {"num_train": 40, "num_dev": 12, "num_test": 10, "num_text": 40, "num_bitext": 16, "num_pieces": 300}
    write_world(World(languages={"qaa_Latn": 0.3}, **sizes), root)
    return root


@pytest.fixture(scope="session")
def recipe(world: Path) -> MakeRecipe:
    """Makes a recipe over that world: arms `none` and `pairs` after a stage of MLM, UDPOS as target; `sections` replace
    its own. Tokenised features are shared by all tests."""

    def make(**sections: Any) -> Recipe:
        values = {
            "name": "tiny",
            "data": {"root": world, "cache": world.parent / "cache", "max_length": 64, "doc_stride": 16},
            "model": {
                "config": {
                    "hidden_size": 16,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 2,
                    "intermediate_size": 32,
                }
            },
            "runtime": {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 1024},
            "training": TRAINING,
            "pretraining": [{"tasks": ["mlm_text"], "languages": ["eng_Latn", "qaa_Latn"]}],
            "arms": {"none": [], "pairs": [{"tasks": ["mnli", "qqp"]}]},
            "targets": {"udpos": {"languages": ["eng_Latn", "qaa_Latn"]}},
        }
        return Recipe.model_validate({**values, **sections})

    return make


@pytest.fixture(scope="session")
def process_group() -> Iterator[dict[str, str]]:
    """The environment of a process that is a group by itself, until the end: DeepSpeed clings to its first group."""
    outside = dict(os.environ)
    dist.set_up()
    inside = dict(os.environ)
    become(outside)
    yield inside
    become(inside)
    dist.tear_down()
    become(outside)


@pytest.fixture(scope="module")
def one_rank(process_group: dict[str, str]) -> Iterator[None]:
    """Makes this process the only rank, and spares processes that other tests start the variables for that."""
    outside = dict(os.environ)
    become(process_group)
    yield
    become(outside)


def become(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
