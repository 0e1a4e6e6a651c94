"""Other rules of selection: rows of their own from weights that one training has kept, and nothing of the study's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from xstilts.analysis.report import build
from xstilts.analysis.runs import read_results
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row, read_rows
from xstilts.study import run, selection
from xstilts.study.open import open_study
from xstilts.study.study import Study

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]
LANGUAGES = ["eng_Latn", "qaa_Latn"]
TRAINING = {"steps": 6, "batch_size": 4, "lr": 1e-2}
DEV = {"every": 2, "num_examples": 4, "patience": 9}
SELECTION = {"also": ["last", "average", "oracle"], "every": 2, "keep": 2}
BEST, OTHER = {"eng_Latn": 4, "qaa_Latn": 6}, 1.0


@pytest.fixture(scope="module")
def recipes(recipe: MakeRecipe) -> Callable[..., Recipe]:
    def make(dev: Mapping[str, int] | None = DEV, selection: Mapping[str, Any] | None = SELECTION) -> Recipe:
        udpos = {"languages": LANGUAGES, "training": {**TRAINING, "dev": dev}}
        return recipe(pretraining=[], arms={"none": []}, targets={"udpos": udpos}, selection=selection)

    return make


@pytest.fixture(scope="module")
def averages() -> list[dict[str, torch.Tensor]]:
    """What was averaged, and the mean."""
    return []


@pytest.fixture(scope="module")
def study(
    recipes: Callable[..., Recipe],
    averages: list[dict[str, torch.Tensor]],
    tmp_path_factory: pytest.TempPathFactory,
    one_rank: None,
) -> Study:
    """A finished study whose oracle is told which step is best in which language."""
    study = open_study(recipes(), tmp_path_factory.mktemp("study"), device="cpu")
    real = selection._Rules._average

    def average(rules: Any, path: Path) -> str:
        digest = real(rules, path)
        averages.extend(load_file(p) for p in [*rules._kept.values(), path])
        return digest

    def dev(rules: Any, path: Path, digest: str) -> dict[str, float]:
        record = rules._record
        kept = {**record.snapshots, record.selected_step: record.weights}
        (step,) = (n for n, of_step in kept.items() if of_step == digest)
        return {key: OTHER + (step == best) for key, best in BEST.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection._Rules, "_average", average)
        patch.setattr(selection._Rules, "_dev", dev)
        run.run_study(study)
    return study


def values(rows: list[Row], language: str | None = None) -> list[tuple[str, str, float]]:
    return [(row.language, row.metric, row.value) for row in rows if language in (None, row.language)]


def of_rule(study: Study, rule: str) -> list[Row]:
    return [row for row in read_rows(study.workspace.root / "selection.jsonl") if row.selection == rule]


def test_the_primary_rows_are_those_without_other_rules(
    study: Study, recipes: Callable[..., Recipe], tmp_path: Path
) -> None:
    plain = open_study(recipes(selection=None), tmp_path, device="cpu")
    expected = [replace(row, stage="") for row in run.run_study(plain)]
    assert [replace(row, stage="") for row in read_rows(study.workspace.results)] == expected
    assert not (tmp_path / "selection.jsonl").exists()
    assert {row.selection for row in expected} == {"best_dev"}


def test_last_is_what_a_training_without_selection_ends_with(
    study: Study, recipes: Callable[..., Recipe], tmp_path: Path
) -> None:
    unselected = open_study(recipes(dev=None, selection=None), tmp_path, device="cpu")
    assert values(of_rule(study, "last")) == values(run.run_study(unselected))


def test_the_average_is_the_mean_of_the_kept_weights(study: Study, averages: list[dict[str, torch.Tensor]]) -> None:
    first, second, mean = averages
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name, tensor in mean.items():
        torch.testing.assert_close(tensor, (first[name] + second[name]) / 2)
    assert len(of_rule(study, "average")) == len(of_rule(study, "last")) == 4


def test_the_oracle_takes_in_each_language_what_is_best_on_its_dev_data(study: Study) -> None:
    oracle = of_rule(study, "oracle")
    assert {row.language for row in oracle} == set(LANGUAGES)
    assert values(oracle, "qaa_Latn") == values(of_rule(study, "last"), "qaa_Latn")


def test_nothing_is_kept_or_trained_again_once_it_is_scored(study: Study) -> None:
    assert study.missing() == []
    assert not list(study.workspace.root.glob("stages/*/*.safetensors"))
    assert not list(study.workspace.root.glob("stages/*/snapshots"))
    assert [study.scored(leaf) for leaf in study.graph.leaves] == [True]
    (leaf,) = study.graph.leaves
    study.other_results(study.evaluation(leaf)).unlink()
    assert not study.scored(leaf) and study.missing() == [leaf.stage]
    study_rows = study.workspace.root / "selection.jsonl"
    run.write_rows(study.other_results(study.evaluation(leaf)), [replace(row, arm="") for row in read_rows(study_rows)])
    assert study.scored(leaf)


def test_reports_take_the_primary_rows_unless_told(study: Study) -> None:
    root = study.workspace.root
    assert {row.selection for row in read_results(root).rows} == {"best_dev"}
    assert values(read_results(root, "average").rows) == values(of_rule(study, "average"))
    content = build([root])
    assert "`last`, `average`, `oracle` (`report --selection`)" in content.notes[0]
    assert "which zero-shot transfer does not have" in build([root], selection="oracle").notes[0]
    with pytest.raises(UserError, match=r"--selection averaged: .* did you mean 'average'"):
        build([root], selection="averaged")


def test_the_oracle_scores_dev_data_in_every_language(
    study: Study, recipes: Callable[..., Recipe], tmp_path: Path
) -> None:
    """Unpatched, with the dev data that the world has."""
    real = open_study(recipes(selection={**SELECTION, "also": ["oracle"]}), tmp_path, device="cpu")
    assert [stage.id for stage in real.graph.stages()] == [stage.id for stage in study.graph.stages()]
    run.run_study(real)
    assert {row.language for row in of_rule(real, "oracle")} == set(LANGUAGES)
