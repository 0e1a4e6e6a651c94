"""`evaluate`: one trained stage, scored on what its heads can predict."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import read_rows
from xstilts.study.external import evaluate_stage
from xstilts.study.open import open_study
from xstilts.study.provenance import read_run
from xstilts.study.run import run_study
from xstilts.study.study import Study
from xstilts.synthetic.tokenizer import train_tokenizer

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]

TARGETS = {
    "udpos": {"languages": ["eng_Latn", "qaa_Latn"], "max_examples": 5},
    "xquad": {"languages": ["qaa_Latn"]},
    "tatoeba": {"languages": ["qaa_Latn"]},
}


@pytest.fixture(scope="module")
def study(recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory, one_rank: None) -> Study:
    """A finished study that has kept all weights."""
    runtime = recipe().runtime.model_copy(update={"keep_leaf_weights": True})
    made = recipe(arms={"none": []}, targets=TARGETS, runtime=runtime)
    study = open_study(made, tmp_path_factory.mktemp("study"), device="cpu")
    run_study(study)
    return study


def folder_of(study: Study, label: str) -> Path:
    (stage,) = [stage for stage in study.graph.stages() if stage.label == label]
    return study.workspace.stage(stage.id)


def test_a_stage_scores_as_in_its_study(study: Study, tmp_path: Path) -> None:
    other = open_study(study.recipe, tmp_path, device="cpu")
    folder = evaluate_stage(other, folder_of(study, "none.udpos"))
    rows = list(read_rows(folder / "results.jsonl"))
    assert folder.parent == tmp_path / "evaluations"
    assert {(row.arm, row.task) for row in rows} == {("checkpoint", "udpos"), ("checkpoint", "tatoeba")}
    ours = [replace(row, arm="", stage="") for row in rows if row.task == "udpos"]
    assert ours == [replace(row, arm="", stage="") for row in study.collect() if row.task == "udpos"]
    assert (folder / "predictions" / "udpos" / "test-qaa.tsv").is_file()
    assert (folder / "labels" / "udpos" / "test-qaa.tsv").is_file()
    assert not (tmp_path / "labels").exists()


def test_targets_without_a_head_are_left_out_aloud(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    folder = evaluate_stage(study, folder_of(study, "none.xquad"))
    assert {row.task for row in read_rows(folder / "results.jsonl")} == {"xquad", "tatoeba"}
    said = capsys.readouterr().out
    assert "left out: udpos, predicted by the head of udpos; this stage has squad_v1" in said


def test_a_stage_that_can_predict_nothing_is_an_error(recipe: MakeRecipe, study: Study, tmp_path: Path) -> None:
    other = open_study(recipe(targets={"xnli": {"languages": ["qaa_Latn"]}}), tmp_path, device="cpu")
    with pytest.raises(
        UserError, match="no target of the recipe can be scored; give a stage that trained one of: mnli"
    ):
        evaluate_stage(other, folder_of(study, "none.udpos"))


def test_another_tokenizer_is_an_error(recipe: MakeRecipe, study: Study, tmp_path: Path) -> None:
    train_tokenizer(["some other words", "than those"] * 5, 60, tmp_path / "tokenizer")
    model = study.recipe.model.model_copy(update={"tokenizer": str(tmp_path / "tokenizer")})
    other = open_study(recipe(targets=TARGETS, model=model), tmp_path, device="cpu")
    with pytest.raises(UserError, match=r"trained with another tokenizer; set model\.tokenizer"):
        evaluate_stage(other, folder_of(study, "none.udpos"))


def test_another_precision_is_an_error(recipe: MakeRecipe, study: Study, tmp_path: Path) -> None:
    runtime = {"deepspeed": "zero1_bf16_cpu", "tokens_per_micro_batch": 1024}
    other = open_study(recipe(targets=TARGETS, runtime=runtime), tmp_path, device="cpu")
    told = r"the stage was trained in fp32, and runtime\.deepspeed computes in bf16; give a DeepSpeed file in fp32"
    with pytest.raises(UserError, match=told):
        evaluate_stage(other, folder_of(study, "none.udpos"))


def test_a_folder_of_results_says_what_was_evaluated(study: Study, tmp_path: Path) -> None:
    other = open_study(study.recipe, tmp_path, device="cpu")
    stage = folder_of(study, "none.udpos")
    run = read_run(evaluate_stage(other, stage, ["training.lr=1"]))
    assert run is not None
    assert (run.baseline, run.title, run.launches[0].exit) == ("checkpoint", "tiny: none.udpos", 0)
    assert run.expected.targets == {"udpos": ["eng_Latn", "qaa_Latn"], "tatoeba": ["qaa_Latn"]}
    assert run.checkpoint is not None and run.checkpoint["id"] == stage.name
    assert run.parameters.heads.keys() == {"udpos"}
    assert read_run(tmp_path) is None


def test_a_folder_that_is_no_finished_stage_is_an_error(study: Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stage\.json: No such file or directory; give the folder of a finished stage"):
        evaluate_stage(study, tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(folder_of(study, "none.udpos"), copy)
    record = json.loads((copy / "stage.json").read_text())
    (copy / "stage.json").write_text(json.dumps({**record, "labels": None}))
    with pytest.raises(UserError, match=r"stage\.json: labels: .*; remove the stage's folder and train it again"):
        evaluate_stage(study, copy)
    (copy / "stage.json").write_text(json.dumps(record))
    (copy / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors: .*not there; train it with runtime\.keep_leaf_weights"):
        evaluate_stage(study, copy)
