"""Two launches, one of them of two ranks, on one study whose sweeps choose meanwhile: pilots and stages are trained
once, every rank goes on with the same values, and the stages are those of a recipe that writes them out."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tiny
from launch import run_ranks

from xstilts.config.load import load_recipe
from xstilts.evaluation.rows import Row
from xstilts.study.open import open_study, open_with_others
from xstilts.study.run import run_study

VALUES = [1e-3, 2e-2]
TRAINING = {"steps": 4, "batch_size": 8, "lr": 1e-3}
DEV = {"dev": {"every": 2, "num_examples": 12}}


def launch(recipe: Path, run_dir: Path) -> tuple[bool, str, list[Row]]:
    """Whether the study had chosen when it was opened, its digest then, and its rows."""
    study = open_with_others(load_recipe(str(recipe), []), run_dir, device="cpu")
    return study.has_chosen, study.digest, run_study(study)


def stage_ids(recipe: Path, run_dir: Path) -> list[str]:
    study = open_study(load_recipe(str(recipe), []), run_dir, device="cpu")
    return [stage.id for leaf in study.graph.leaves for stage in leaf.lineage]


def write(path: Path, world: Path, arms: dict[str, Any], **sections: Any) -> Path:
    runtime = {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 320}
    sections |= {
        "runtime": runtime,
        "arms": {"none": [], **arms},
        "targets": {"udpos": {"languages": ["eng_Latn"], "training": {"steps": 4}}},
    }
    return tiny.write_recipe(path, world, deepspeed="", training=TRAINING, tasks=["mnli"], **sections)


@pytest.mark.timeout(900)
def test_launches_share_pilots_and_choose_alike(tiny_world: Path, tmp_path: Path) -> None:
    swept = {
        task: [{"tasks": [task], "training": DEV, "sweep": {"training.lr": VALUES}}] for task in ("mnli", "cosmos_qa")
    }
    recipe, run_dir = write(tmp_path / "swept.yaml", tiny_world, swept, pilot_seeds=[101]), tmp_path / "run"
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run_ranks, launch, 2, recipe, run_dir)
        while not list(run_dir.glob("stages/*/steps.jsonl")) and not first.done():
            time.sleep(0.01)
        second = pool.submit(run_ranks, launch, 1, recipe, run_dir)
        found = [*first.result(), *second.result()]
    assert [had_chosen for had_chosen, _, _ in found[:2]] == [False, False]
    assert len({digest for _, digest, _ in found}) == 1
    assert all(rows == found[0][2] for _, _, rows in found) and len({row.arm for row in found[0][2]}) == 3

    told = [json.loads(path.read_text()) for path in run_dir.glob("launches/*.json")]
    assert len(told) == 2 and [each["launch"]["exit"] for each in told] == [0, 0]
    chosen = {choice["label"]: choice["chosen"] for choice in told[0]["sweeps"]}
    assert told[0]["sweeps"] == told[1]["sweeps"] and set(chosen) == set(swept)
    assert set(chosen.values()) <= set(VALUES)

    lines = run_dir.glob("leases/*/*.released")
    published = [path.parent.name for path in lines if path.read_text() == "published\n"]
    # Four pilots, two arms' stages, three targets' stages, and three evaluations.
    assert len(published) == len(set(published)) == 4 + 2 + 3 + 3

    arms = {task: [{"tasks": [task], "training": {**DEV, "lr": chosen[task]}}] for task in swept}
    written = write(tmp_path / "written.yaml", tiny_world, arms)
    (expected,) = run_ranks(stage_ids, 1, written, tmp_path / "other")
    (own,) = run_ranks(stage_ids, 1, recipe, run_dir)
    assert own == expected
