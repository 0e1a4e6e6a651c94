"""What is taken away from a run: its predictions as an archive, a stage as a folder of `transformers`."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForTokenClassification, AutoTokenizer

from xstilts import cli
from xstilts.commands.study import _run_study
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import read_rows
from xstilts.exchange.submission import submit
from xstilts.study.external import evaluate_stage
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.study.study import Study
from xstilts.tasks import find_task, suites
from xstilts.tasks.suites import Suite
from xstilts.xtreme.suite import score_folder

MakeRecipe = Callable[..., Recipe]

QAA = ("qaa_Latn",)
TINY = Suite("tiny", "Tiny", {"udpos": QAA, "xquad": QAA, "tatoeba": QAA}, {"all": ("udpos", "xquad", "tatoeba")})
TARGETS = {name: {"languages": list(QAA)} for name in TINY.tasks}


@pytest.fixture(scope="module")
def study(recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory, one_rank: None) -> Study:
    """A finished run of two arms that has kept all weights."""
    runtime = recipe().runtime.model_copy(update={"keep_leaf_weights": True})
    arms = {"none": [], "pairs": [{"tasks": ["mnli", "qqp"]}]}
    made = recipe(pretraining=[], arms=arms, targets=TARGETS, runtime=runtime, seeds=[4])
    study = open_study(made, tmp_path_factory.mktemp("study") / "run", device="cpu")
    run_study(study)
    return study


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(suites.SUITES, TINY.name, TINY)  # type: ignore[arg-type]


def test_the_archive_scores_as_the_run(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = study.workspace.root
    assert cli.main(["submit", str(root), "--arm", "pairs", "--seed", "4", "--suite", "tiny"]) == 0
    path = root / "submissions" / "tiny-pairs-seed4.zip"
    assert capsys.readouterr().out == f"{path}: 3 files, all of tiny\n"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["udpos/test-qaa.tsv", "xquad/test-qaa.json", "tatoeba/test-qaa.tsv"]
        archive.extractall(tmp_path / "unpacked")
    score = score_folder(TINY, tmp_path / "unpacked", root / "labels")
    assert score.overall.complete and score.notes == ()
    rows = [row for row in read_rows(study.workspace.results) if row.arm == "pairs"]
    assert {row.task for row in rows} == set(TINY.tasks)
    for row in rows:
        assert score.tasks[row.task].languages[row.language][row.metric].value == pytest.approx(row.value, rel=1e-12)
    again, _ = submit(root, "pairs", 4, TINY, tmp_path / "again.zip")
    assert again.read_bytes() == path.read_bytes()


def test_what_is_missing_is_said_and_nothing_written(study: Study, tmp_path: Path) -> None:
    root, to = study.workspace.root, tmp_path / "archive.zip"
    with pytest.raises(UserError, match=r"has no predictions of paris/seed4; did you mean 'pairs/seed4'"):
        submit(root, "paris", 4, TINY, to)
    wider = Suite("wide", "Wide", {**TINY.tasks, "udpos": ("eng_Latn", *QAA), "xnli": QAA}, {})
    with pytest.raises(UserError, match=r"not all of Wide: missing udpos in en; xnli\. Run .* `languages: wide`"):
        submit(root, "pairs", 4, wider, to)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_test_set_is_not_all_of_it(
    study: Study, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = {**TARGETS, "udpos": {"languages": list(QAA), "max_examples": 4}}
    cut = open_study(recipe(pretraining=[], arms={"none": []}, targets=targets), tmp_path / "run", device="cpu")
    run_study(cut)
    with pytest.raises(UserError, match=r"missing udpos behind the first 4 examples\. "):
        submit(tmp_path / "run", "none", 0, TINY, None)
    monkeypatch.setitem(find_task("udpos").num_examples, ("test", "qaa_Latn"), 11)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"missing udpos in qaa, of which 10 of 11 are there\. "):
        submit(study.workspace.root, "pairs", 4, TINY, tmp_path / "archive.zip")


@pytest.mark.parametrize("keep", [False, True])
def test_a_run_says_that_weights_of_targets_go(
    recipe: MakeRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: bool
) -> None:
    runtime = recipe().runtime.model_copy(update={"keep_leaf_weights": keep})
    targets = {"udpos": {"languages": list(QAA)}}
    _run_study(recipe(pretraining=[], arms={"none": []}, targets=targets, runtime=runtime), tmp_path / "run", [])
    said = "weights of target stages are dropped once they are scored; runtime.keep_leaf_weights=true keeps them"
    assert (said in capsys.readouterr().out) == (not keep)
    assert len(list(tmp_path.glob("run/stages/*/weights.safetensors"))) == keep


def test_a_trained_stage_is_exported_with_the_tokenizer_of_its_run(study: Study, tmp_path: Path) -> None:
    (stage,) = [stage for stage in study.graph.stages() if stage.label == "pairs.udpos"]
    to = tmp_path / "exported"
    assert cli.main(["export", str(study.workspace.stage(stage.id)), "--to", str(to)]) == 0
    model = AutoModelForTokenClassification.from_pretrained(to)
    assert list(model.config.id2label.values()) == list(study.catalogue.labels(find_task("udpos")) or ())
    assert len(AutoTokenizer.from_pretrained(to)) == study.catalogue.tokenizer.vocab_size
    assert "pairs, pairs.udpos" in (to / "README.md").read_text()


@pytest.mark.parametrize("target", ["udpos", "xquad"])
def test_a_checkpoint_from_elsewhere_scores_as_what_it_is(study: Study, tmp_path: Path, target: str) -> None:
    """There and back: an exported stage, taken in as any checkpoint of transformers, has the run's scores."""
    (stage,) = [stage for stage in study.graph.stages() if stage.label == f"pairs.{target}"]
    task = find_task(target).trained_by
    exported, taken_in = tmp_path / "exported", tmp_path / "stages" / "in"
    assert cli.main(["export", str(study.workspace.stage(stage.id)), "--to", str(exported)]) == 0
    assert cli.main(["import", str(exported), "--task", str(task), "--to", str(taken_in)]) == 0
    folder = evaluate_stage(open_study(study.recipe, tmp_path / "run", device="cpu"), taken_in)
    ours = {(row.task, row.metric): row.value for row in study.collect() if row.arm == "pairs" and row.task == target}
    theirs = {(row.task, row.metric): row.value for row in read_rows(folder / "results.jsonl") if row.task == target}
    assert theirs == ours and ours
