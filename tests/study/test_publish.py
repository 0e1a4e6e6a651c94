"""Predictions and labels as they lie in a run directory: files that belong together."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.study.external import evaluate_stage
from xstilts.study.open import open_study
from xstilts.study.publish import copy_folder
from xstilts.study.run import run_study
from xstilts.study.study import Study
from xstilts.xtreme.score import run_score

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]
Launch = Callable[..., Study]


@pytest.fixture
def launch(recipe: MakeRecipe, tmp_path: Path) -> Launch:
    """Runs a study of one target in `tmp_path`."""

    def made(**sections: Any) -> Study:
        arms = {"none": [], "a": [{"tasks": ["mnli"]}], "b": [{"tasks": ["mnli"]}]}
        targets = {"tatoeba": {"languages": ["qaa_Latn"]}}
        study = open_study(
            recipe(**{"pretraining": [], "arms": arms, "targets": targets, **sections}), tmp_path, device="cpu"
        )
        run_study(study)
        return study

    return made


def udpos(max_examples: int | None, **sections: Any) -> dict[str, Any]:
    runtime = {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 1024, "keep_leaf_weights": True}
    targets = {"udpos": {"languages": ["eng_Latn", "qaa_Latn"], "max_examples": max_examples}}
    return {"arms": {"none": []}, "runtime": runtime, "targets": targets, **sections}


def scores(predictions: Path, labels: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Language -> items that `score` finds; it fails where predictions and labels do not belong together."""
    capsys.readouterr()
    assert run_score("xtreme", predictions, labels, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)["tasks"]["udpos"]["languages"]
    return {language: metrics["xtreme_pos_f1"]["items"] for language, metrics in found.items()}


def test_an_archive_of_the_predictions_holds_them(launch: Launch, tmp_path: Path) -> None:
    launch()
    with tarfile.open(tmp_path / "predictions.tar", "w") as archive:
        archive.add(tmp_path / "predictions", "predictions")
    with tarfile.open(tmp_path / "predictions.tar") as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    for arm in ("none", "a", "b"):
        path = tmp_path / "elsewhere" / "predictions" / arm / "seed0" / "tatoeba" / "test-qaa.tsv"
        assert len(path.read_text().splitlines()) > 5


def test_arms_that_share_an_evaluation_have_files_of_their_own(launch: Launch, tmp_path: Path) -> None:
    launch()
    a, b = (tmp_path / "predictions" / arm / "seed0" / "tatoeba" / "test-qaa.tsv" for arm in "ab")
    assert a.read_bytes() == b.read_bytes()
    a.write_text("spoilt")
    assert b.read_text() != "spoilt"
    launch()
    assert a.read_bytes() == b.read_bytes()


def test_a_folder_is_copied_where_it_differs_and_left_alone_where_not(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "one").write_text("1")
    copy_folder(source, target)
    inode = target.stat().st_ino
    copy_folder(source, target)
    assert target.stat().st_ino == inode
    (target / "old").write_text("of a language that is scored no more")
    copy_folder(source, target)
    assert [path.name for path in target.iterdir()] == ["one"]
    os.utime(source / "one", (1, 1))
    (source / "one").write_text("2")
    copy_folder(source, target)
    assert (target / "one").read_text() == "2"
    # A link, as versions before this one left it.
    (tmp_path / "linked").symlink_to(source)
    copy_folder(source, tmp_path / "linked")
    assert not (tmp_path / "linked").is_symlink() and (source / "one").read_text() == "2"
    assert [path.name for path in (tmp_path / "linked").iterdir()] == ["one"]


def test_an_evaluated_checkpoint_has_labels_of_its_own(
    launch: Launch, recipe: MakeRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = launch(**udpos(None))
    (stage,) = study.graph.stages()
    predictions = tmp_path / "predictions" / "none" / "seed0"
    whole = scores(predictions, tmp_path / "labels", capsys)
    assert whole == {"en": 10}
    fewer = open_study(recipe(pretraining=[], **udpos(5)), tmp_path, device="cpu")
    folder = evaluate_stage(fewer, study.workspace.stage(stage.id))
    assert scores(predictions, tmp_path / "labels", capsys) == whole
    assert scores(folder / "predictions", folder / "labels", capsys) == {"en": 5}


def test_labels_follow_the_predictions_that_a_recipe_publishes(
    launch: Launch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nothing is scored anew, the recipe being one that was run before."""
    for max_examples, num_items in ((None, 10), (5, 5), (None, 10)):
        launch(**udpos(max_examples))
        found = scores(tmp_path / "predictions" / "none" / "seed0", tmp_path / "labels", capsys)
        assert found == {"en": num_items}
