"""A study with every control: the same losses on one rank and two, dropout on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tiny
from launch import run_study

from xstilts.data.code_switched import find_words
from xstilts.tasks import find_task

pytestmark = pytest.mark.timeout(900)  # the cores may be shared

TASKS = ["mnli", "squad_v2", "ccg", "cosmos_qa"]
TRAINING = {"steps": 2, "batch_size": 9, "lr": 1e-3}
ARMS: dict[str, Any] = {
    "none": [],
    "gold": [{"tasks": TASKS, "training": {"steps": 3}}],
    "shuffled": [{"tasks": TASKS, "labels": "shuffled", "match": {"steps": "gold"}}],
    "random": [{"tasks": TASKS, "labels": "random", "match": {"steps": "gold"}}],
    "switched": [
        {
            "tasks": ["mlm_text", "mnli"],
            "code_switch": {"rate": 0.5},
            "trainable": {"encoder": "none", "bottleneck": 5, "orthogonal": 0.1},
            "match": {"steps": "gold"},
        }
    ],
    "part": [{"tasks": ["mnli"], "subset": {"part": "random", "fraction": 0.5}, "match": {"steps": "gold"}}],
}


def test_controls_compute_the_same_on_one_rank_and_two(tiny_world: Path, tmp_path: Path) -> None:
    words = sorted({word for *_, word in words_of(tiny_world)})
    dictionary = tmp_path / "pairs.txt"
    dictionary.write_text("".join(f"{word}\t{other}\n" for word, other in pairwise(words)))
    ARMS["switched"][0]["code_switch"]["dictionary"] = dictionary.name
    recipe = tiny.write_recipe(
        tmp_path / "controls.yaml",
        tiny_world,
        deepspeed="zero2_fp32_cpu",
        training=TRAINING,
        tasks=TASKS,
        pretraining=[{"tasks": ["mlm_text"]}],
        arms=ARMS,
        pretraining_seeds=[5],
    )
    for ranks in (1, 2):
        run_study(recipe, tmp_path / str(ranks), ranks)
    alone, shared = (tiny.all_losses(tmp_path / str(ranks)) for ranks in (1, 2))
    # Pretraining, five intermediate stages and a target stage behind each of six arms.
    assert len(alone) == 1 + 5 + 6
    assert shared.keys() == alone.keys()
    for stage, losses in alone.items():
        assert shared[stage].keys() == losses.keys()
        assert list(shared[stage].values()) == pytest.approx(list(losses.values()), abs=1e-5)
    of_arms = [tuple(losses.values()) for losses in alone.values() if len(losses) == 3]
    assert len(set(of_arms)) == len(of_arms) == 5, "other labels, examples or words, other losses"


def words_of(world: Path) -> Iterator[tuple[int, int, str]]:
    opened = tiny.catalogue(world)
    for feature in opened.train(find_task("mlm_text"), ["eng_Latn"]).load(range(20)):
        yield from find_words(opened.tokenizer, feature.tokens)
