"""What `plan` says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from xstilts.config.recipe import Recipe
from xstilts.study.describe_plan import describe_plan
from xstilts.study.open import open_study

MakeRecipe = Callable[..., Recipe]


def test_a_plan_names_stages_tasks_shares_and_languages(recipe: MakeRecipe, tmp_path: Path) -> None:
    mixing = {"weighting": "explicit", "weights": {"mnli": 3, "qqp": 1}}
    arms = {"none": [], "pairs": [{"tasks": ["mnli", "qqp"], "mixing": mixing}]}
    study = open_study(recipe(arms=arms), tmp_path, device=None)
    plan = json.loads(describe_plan(study, as_json=True))
    assert [stage["label"] for stage in plan["stages"]] == ["pretraining", "none.udpos", "pairs", "pairs.udpos"]
    pairs = plan["stages"][2]
    assert pairs["tasks"] == {"mnli": [40, 0.75], "qqp": [40, 0.25]}
    assert (pairs["steps"], pairs["batch_size"], pairs["to_train"]) == (2, 4, True)
    assert pairs["parent"] == plan["stages"][0]["id"]
    assert [(target["arm"], target["languages"]) for target in plan["targets"]] == [
        ("none", ["eng_Latn", "qaa_Latn"]),
        ("pairs", ["eng_Latn", "qaa_Latn"]),
    ]
    lines = describe_plan(study, as_json=False).splitlines()
    assert any("pairs " in line and "mnli 75% of 40, qqp 25% of 40" in line and "to train" in line for line in lines)
    assert lines[-1] == "pairs -> udpos: eng_Latn, qaa_Latn"


def test_a_plan_ends_with_what_it_can_find(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(recipe(), tmp_path, device=None)
    assert describe_plan(study, as_json=False, design=["One.", "Two."]).splitlines()[-3:] == ["", "One.", "Two."]
    assert json.loads(describe_plan(study, as_json=True, design=["One."]))["design"] == ["One."]
