"""What `plan` says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from xstilts import cli
from xstilts.config.recipe import Recipe
from xstilts.study.describe_plan import describe_plan, idle_forwards
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
    # Two steps of four examples, three quarters of them of MNLI: 6 of its 40.
    told = "mnli (75% of the draws, 40 examples 0.15 times), qqp (25% of the draws, 40 examples 0.05 times)"
    assert any("pairs " in line and told in line and "to train" in line for line in lines)
    assert any("none.udpos" in line and line.endswith("  udpos (40 examples 0.2 times)") for line in lines)
    assert "pairs -> udpos: eng_Latn, qaa_Latn" in lines


def test_seeds_share_a_line(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(recipe(arms={"none": []}, seeds=[1, 2, 7]), tmp_path, device=None)
    ids = [
        stage["id"] for stage in json.loads(describe_plan(study, as_json=True))["stages"] if "udpos" in stage["label"]
    ]
    lines = describe_plan(study, as_json=False).splitlines()
    (place,) = [
        i for i, line in enumerate(lines) if line.startswith("none.udpos ") and "seeds 1, 2, 7  to train" in line
    ]
    assert len(ids) == 3 and lines[place + 1] == f"  {', '.join(ids)}"


def test_what_ranks_leave_idle_is_said_once(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(recipe(arms={"none": []}, seeds=[1, 2]), tmp_path, device=None)
    (line,) = idle_forwards(study, 64)
    assert line.startswith("on 64 ranks ") and line.endswith("a multiple of 64; in pretraining, none.udpos")


def test_a_plan_says_what_is_trained_and_on_what(recipe: MakeRecipe, tmp_path: Path) -> None:
    (tmp_path / "en-qaa.txt").write_text("a b\n", encoding="utf-8")
    switched = {"dictionary": tmp_path / "en-qaa.txt", "rate": 0.25}
    language = {"tasks": ["mlm_text"], "code_switch": switched, "trainable": {"encoder": "none", "bottleneck": 8}}
    task = {"tasks": ["mnli"], "labels": "random", "trainable": {"encoder": "none"}}
    study = open_study(recipe(arms={"none": [], "two": [language, task]}), tmp_path / "run", device=None)
    said = {stage["label"]: stage["controls"] for stage in json.loads(describe_plan(study, as_json=True))["stages"]}
    assert said["two-1"] == ["25% of the words switched by en-qaa.txt", "adapters of 8 in a frozen encoder"]
    assert said["two-2"] == ["random labels", "heads on a frozen encoder"]
    assert said["pretraining"] == said["two.udpos"] == []
    (line,) = [
        line for line in describe_plan(study, as_json=False).splitlines() if "two-2" in line and "to train" in line
    ]
    assert line.endswith("times); random labels; heads on a frozen encoder")


def test_a_part_that_is_not_ranked_yet_is_planned_by_its_size(recipe: MakeRecipe, tmp_path: Path) -> None:
    part = {"part": "hardest", "fraction": 0.25, "reference": {"seed": 1000}}
    arms = {"none": [], "part": [{"tasks": ["mnli"], "subset": part}], "inputs": [{"tasks": ["mlm_text"]}]}
    arms["inputs"][0]["inputs_of"] = "mnli"
    study = open_study(recipe(arms=arms, pretraining=[]), tmp_path / "run", device=None)
    lines = describe_plan(study, as_json=False).splitlines()
    assert any("part  " in line and line.endswith("mnli (10 examples 0.8 times)") for line in lines)
    assert any(line.endswith("mlm_text (40 examples 0.2 times); of the inputs of mnli") for line in lines)
    assert "part" in {line.split()[0] for line in lines[lines.index("part -> udpos: eng_Latn, qaa_Latn") :] if line}
    assert idle_forwards(study, 2)


def test_a_plan_ends_with_what_it_can_find(recipe: MakeRecipe, tmp_path: Path) -> None:
    study = open_study(recipe(), tmp_path, device=None)
    assert describe_plan(study, as_json=False, design=["One.", "Two."]).splitlines()[-3:] == ["", "One.", "Two."]
    assert json.loads(describe_plan(study, as_json=True, design=["One."]))["design"] == ["One."]


def write_recipe(recipe: Recipe, folder: Path, root: Path) -> Path:
    """The recipe over the data in `root`, its features in its run directory, as a file."""
    values = recipe.model_dump(mode="json", exclude_unset=True)
    values["data"] = {"root": str(root), "max_length": 64, "doc_stride": 16}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_a_plan_leaves_nothing_behind(
    recipe: MakeRecipe, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = write_recipe(recipe(pretraining=[], arms={"none": []}), tmp_path, world)
    assert cli.main(["plan", str(path), "--run-dir", str(tmp_path / "runs" / "tiny")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("none.udpos" in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert list(tmp_path.iterdir()) == [path]


def test_all_files_that_are_missing_are_named_at_once(
    recipe: MakeRecipe, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(world, tmp_path / "spoilt"))
    for file in [*(root / "ud").glob("*test*"), *(root / "qqp").iterdir()]:
        file.unlink()
    path = write_recipe(recipe(), tmp_path, root)
    before = set(tmp_path.iterdir())
    assert cli.main(["plan", str(path), "--run-dir", str(tmp_path / "run")]) == 2
    *named, summary = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in named] == [
        "task 'qqp', train, eng_Latn",
        "task 'udpos', test, eng_Latn",
        "task 'udpos', test, qaa_Latn",
    ]
    assert "no file ud/qaa_*-ud-test.conllu below" in named[2]
    assert summary.startswith("error: 3 of 7 sources are not there; each is named above")
    assert set(tmp_path.iterdir()) == before
