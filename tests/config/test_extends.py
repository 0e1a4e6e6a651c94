"""Recipes that say only in what they differ from another one, and measures read from files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from xstilts.config.load import load_recipe, shipped_recipes
from xstilts.core.errors import UserError

BASE = """\
name: base
data: {root: /data}
model: {pretrained: xlm-r}
training: {steps: 100, lr: 1.0e-5}
arms: {none: [], nli: [{tasks: [mnli]}]}
targets: {udpos: {languages: [eng_Latn, fin_Latn, tur_Latn]}}
seeds: [1, 2]
"""


def load(folder: Path, text: str, *, base: str = BASE, overrides: tuple[str, ...] = ()) -> object:
    (folder / "base.yaml").write_text(base)
    (folder / "own.yaml").write_text(text)
    return load_recipe(str(folder / "own.yaml"), overrides)


def test_mappings_are_merged_and_all_else_is_replaced(tmp_path: Path) -> None:
    own = "extends: base.yaml\nname: own\ntraining: {steps: 7}\narms: {qqp: [{tasks: [qqp]}]}\nseeds: [3]\n"
    recipe = load(tmp_path, own, overrides=("training.batch_size=8",))
    written = yaml.safe_load(BASE)
    written |= {"name": "own", "training": {"steps": 7, "lr": 1e-5, "batch_size": 8}, "seeds": [3]}
    written["arms"] = {**written["arms"], "qqp": [{"tasks": ["qqp"]}]}
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    assert recipe == load_recipe(str(tmp_path / "whole.yaml"))


def test_a_chain_of_recipes_ends_with_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "middle.yaml").write_text("extends: base.yaml\nname: middle\nseeds: [5]\n")
    recipe = load(tmp_path, "extends: middle.yaml\nname: own\n")
    assert (recipe.name, recipe.seeds, recipe.training.steps) == ("own", [5], 100)  # type: ignore[attr-defined]


def test_null_takes_a_section_out_and_a_value_back_to_its_default(tmp_path: Path) -> None:
    own = "extends: base.yaml\nname: own\narms: {nli: null}\ndata: {root: null, hub: true}\n"
    recipe = load(tmp_path, own)
    assert list(recipe.arms) == ["none"]  # type: ignore[attr-defined]
    assert (recipe.data.root, recipe.data.hub) == (None, True)  # type: ignore[attr-defined]


def test_of_several_files_each_is_laid_over_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("training: {steps: 5}\nseeds: [9]\n")
    recipe = load(tmp_path, "extends: [base.yaml, small.yaml]\nname: own\ntraining: {lr: 0.5}\n")
    assert (recipe.seeds, recipe.training.steps, recipe.training.lr) == ([9], 5, 0.5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("own", "base", "problem"),
    [
        ("name: own\nextends: bass.yaml\n", BASE, r"own\.yaml:2: extends: no recipe .*bass\.yaml; mend the path"),
        ("extends: 3\n", BASE, r"own\.yaml:1: extends: expected the name of a file"),
        (
            "extends: base.yaml\n",
            BASE + "extends: own.yaml\n",
            r"base\.yaml:8: .*own\.yaml extends this recipe in turn",
        ),
        ("extends: base.yaml\ntraining: {stepz: 7}\n", BASE, r"own\.yaml:2: unknown key 'training\.stepz'"),
        ("extends: base.yaml\n", BASE + "sed: 1\n", r"own\.yaml: unknown key 'sed'; did you mean 'seeds'\?"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, own: str, base: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        load(tmp_path, own, base=base)


SLOPE = """\
extends: base.yaml
arms: {qqp: [{tasks: [qqp]}]}
question:
  ask: Why?
  analysis: slope
  slopes: {H1: {arms: [nli, qqp], against: none, of: cosine, measured: measures.csv}}
  estimand: languages_like_these
  matters: 1
"""
CSV = "arm,language,value\nnli,fin_Latn,0.25\nnli,tur_Latn,1\nqqp,fin_Latn,0.5\nqqp,tur_Latn,-1e-2\n"


def test_the_numbers_of_a_file_take_its_place(tmp_path: Path) -> None:
    (tmp_path / "measures.csv").write_text(CSV)
    recipe = load(tmp_path, SLOPE)
    found = recipe.question.slopes["H1"].by_language  # type: ignore[attr-defined]
    assert found == {"nli": {"fin_Latn": 0.25, "tur_Latn": 1.0}, "qqp": {"fin_Latn": 0.5, "tur_Latn": -0.01}}


def test_a_measure_of_arms_alone_needs_no_language(tmp_path: Path) -> None:
    (tmp_path / "measures.csv").write_text("arm,value\nnli,2\nqqp,3\n")
    recipe = load(tmp_path, SLOPE.replace("languages_like_these", "tasks_like_these"))
    assert recipe.question.slopes["H1"].by_arm == {"nli": 2.0, "qqp": 3.0}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, r"own\.yaml:6: no measures .*measures\.csv; mend the path"),
        ("arm,language\nnli,fin_Latn\n", r"measures\.csv:1: no column 'value'"),
        ("arm,value\nnli,high\n", r"measures\.csv:2: 'high' is no number"),
        ("arm,value\nnli,1\nnli,2\n", r"measures\.csv:3: 'nli' stands there twice"),
    ],
)
def test_a_mistake_in_a_file_of_measures_is_told(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / "measures.csv").write_text(text)
    with pytest.raises(UserError, match=problem):
        load(tmp_path, SLOPE)


def test_shipped_recipes_are_found_in_folders_too() -> None:
    assert {"demo", "phang2020"} <= set(shipped_recipes())
