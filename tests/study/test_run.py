"""Whole studies in this process: what is trained when, what is kept, and where predictions and rows lie."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from xstilts import cli
from xstilts.analysis.markdown import to_markdown
from xstilts.analysis.report import build
from xstilts.config.recipe import Recipe
from xstilts.core.errors import StorageError, UserError
from xstilts.core.provenance import Provenance, write_provenance
from xstilts.distributed import dist, heartbeat
from xstilts.evaluation.items import read_items
from xstilts.evaluation.metrics import find_metric, interval
from xstilts.evaluation.rows import Row, read_rows
from xstilts.model.multitask import MultiTaskModel
from xstilts.study import run, target_scores, train_stage
from xstilts.study.describe_plan import describe_plan
from xstilts.study.models import Models
from xstilts.study.open import open_study
from xstilts.study.record import read_record
from xstilts.study.study import Study
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer
from xstilts.training.job import Job
from xstilts.xtreme.submission import path_of
from xstilts.xtreme.suite import score_items

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]

LANGUAGES = {"languages": ["eng_Latn", "qaa_Latn"]}
ONE_OF_EACH_FORM = {
    "xnli": LANGUAGES,
    "udpos": LANGUAGES,
    "xquad": LANGUAGES,
    "xcopa": {"languages": ["qaa_Latn"], "train_on": ["siqa", "copa"]},
    "tatoeba": {"languages": ["qaa_Latn"]},
    "bucc2018": {"languages": ["qaa_Latn"]},
    "lareqa": LANGUAGES,
}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels and seeds of the stages that are trained, as they begin."""
    names: list[str] = []
    real = train_stage.train

    def spy(job: Job, *arguments: Any) -> Any:
        names.append(job.name)
        return real(job, *arguments)

    monkeypatch.setattr(train_stage, "train", spy)
    return names


def run_study(recipe: Recipe, folder: Path) -> tuple[Study, list[Row]]:
    study = open_study(recipe, folder, device="cpu")
    return study, run.run_study(study)


def weights(folder: Path) -> set[str]:
    """Labels of the stages whose weights are there."""
    kept = folder.glob("stages/*/weights.safetensors")
    return {json.loads((path.parent / "stage.json").read_text())["label"] for path in kept}


def test_an_arms_own_head_is_scored_again_after_what_followed_its_task(
    recipe: MakeRecipe, tmp_path: Path, trained: list[str]
) -> None:
    arms = {
        "none": [],
        "tags": [{"tasks": ["ccg"]}],
        "tags_pairs": [{"tasks": ["ccg"]}, {"tasks": ["mnli"]}],
        "tags_tags": [{"tasks": ["ccg"]}, {"tasks": ["ccg"], "labels": "shuffled"}],
    }
    again = {"ccg": {"head": "arm", "split": "dev"}}
    study, rows = run_study(recipe(arms=arms, targets=again), tmp_path)
    # Nothing is trained for the target, and nothing after no intermediate task.
    assert trained == [f"{label} seed 0" for label in ("pretraining", "tags", "tags_pairs-2", "tags_tags-2")]
    by_arm = {row.arm: row for row in rows if row.primary}
    assert list(by_arm) == ["tags", "tags_pairs", "tags_tags"]
    stages = {leaf.arm: leaf for leaf in study.graph.leaves}
    assert by_arm["tags_pairs"].stage == stages["tags_pairs"].lineage[-1].id
    predicted_by = {arm: leaf.head_of.label for arm, leaf in stages.items() if leaf.head_of}
    assert predicted_by == {"tags": "tags", "tags_pairs": "tags_pairs-1", "tags_tags": "tags_tags-2"}
    # The head is that of the stage before, the encoder that of the last.
    models = Models(study.recipe.model, study.workspace, study.catalogue)
    leaf = stages["tags_pairs"]
    mixed, first, last = (models.end(leaf.stage, leaf.head_of), models.end(leaf.head_of), models.end(leaf.stage))
    for mine, other in ((mixed.heads, first.heads), (mixed.encoder, last.encoder)):
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), other.parameters(), strict=True))
    content = build([tmp_path])
    assert not content.missing
    (figure,) = [figure for figure in content.figures if figure.name == "forgetting"]
    change = by_arm["tags_pairs"].value - by_arm["tags"].value
    assert [row[:3] for row in figure.rows] == [("ccg", "tags_pairs, after tags", pytest.approx(change))]
    trained.clear()
    run_study(recipe(arms=arms, targets=again), tmp_path)
    assert trained == []


def test_a_second_launch_trains_nothing_and_says_the_same(
    recipe: MakeRecipe, tmp_path: Path, trained: list[str]
) -> None:
    study, rows = run_study(recipe(), tmp_path)
    assert trained == ["pretraining seed 0", "none.udpos seed 0", "pairs seed 0", "pairs.udpos seed 0"]
    assert [(row.arm, row.language, row.seed, row.seeds) for row in rows if row.primary] == [
        ("none", "eng_Latn", 0, "0-0"),
        ("none", "qaa_Latn", 0, "0-0"),
        ("pairs", "eng_Latn", 0, "0-0-0"),
        ("pairs", "qaa_Latn", 0, "0-0-0"),
    ]
    assert list(read_rows(tmp_path / "results.jsonl")) == rows
    assert study.missing() == []
    assert weights(tmp_path) == {"pretraining", "pairs"}
    trained.clear()
    assert run_study(recipe(), tmp_path)[1] == rows
    assert trained == []


def test_a_study_interrupted_between_stages_continues_where_it_stopped(
    recipe: MakeRecipe, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uninterrupted = run_study(recipe(), tmp_path / "whole")[1]
    trained.clear()
    spied = train_stage.train

    def die_at_the_third(*arguments: Any, **options: Any) -> Any:
        if len(trained) == 2:
            raise KeyboardInterrupt
        return spied(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(train_stage, "train", die_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            run_study(recipe(), tmp_path / "cut")
    # What was scored by then is there for a report.
    assert {row.arm for row in read_rows(tmp_path / "cut" / "results.jsonl")} == {"none"}
    trained.clear()
    rows = run_study(recipe(), tmp_path / "cut")[1]
    assert trained == ["pairs seed 0", "pairs.udpos seed 0"]
    assert rows == uninterrupted


def test_a_capped_mixture_takes_the_steps_that_its_plan_says(recipe: MakeRecipe, tmp_path: Path) -> None:
    training = {"epochs": 1, "batch_size": 4, "lr": 1e-3}
    pairs = {"tasks": ["mnli", "qqp"], "mixing": {"cap": 10}, "training": training}
    study = run_study(recipe(pretraining=[], arms={"none": [], "pairs": [pairs]}), tmp_path)[0]
    (stage,) = (stage for stage in study.graph.stages() if stage.label == "pairs")
    record = json.loads((study.workspace.stage(stage.id) / "stage.json").read_text())
    # (10 + 10) / 4 steps, where all of both tasks would be (40 + 40) / 4
    assert record["num_steps"] == stage.num_steps == 5


def test_an_arm_a_seed_and_a_target_cost_only_what_is_new(
    recipe: MakeRecipe, tmp_path: Path, trained: list[str]
) -> None:
    before = run_study(recipe(), tmp_path)[1]
    trained.clear()
    arms = {"none": [], "pairs": [{"tasks": ["mnli", "qqp"]}], "mnli": [{"tasks": ["mnli"]}]}
    after = run_study(recipe(arms=arms), tmp_path)[1]
    assert trained == ["mnli seed 0", "mnli.udpos seed 0"]
    assert [row for row in after if row.arm != "mnli"] == before
    trained.clear()
    run_study(recipe(seeds=[0, 1]), tmp_path)
    assert trained == [f"{label} seed 1" for label in ("pretraining", "none.udpos", "pairs", "pairs.udpos")]
    trained.clear()
    run_study(recipe(targets={"tatoeba": {"languages": ["qaa_Latn"]}}), tmp_path)
    assert trained == []


def test_arms_start_the_target_from_the_same_heads_and_order(recipe: MakeRecipe, tmp_path: Path) -> None:
    """An arm whose intermediate stage changes nothing gives the very numbers of the arm without it."""
    still = {"tasks": ["mnli"], "training": {"steps": 1, "batch_size": 4, "lr": 1e-30, "weight_decay": 0.0}}
    rows = run_study(recipe(arms={"none": [], "still": [still]}), tmp_path)[1]
    by_arm = {arm: [row.value for row in rows if row.arm == arm] for arm in ("none", "still")}
    assert by_arm["none"] == by_arm["still"]
    losses = []
    for path in tmp_path.glob("stages/*/stage.json"):
        if json.loads(path.read_text())["tasks"] == ["udpos"]:
            steps = [json.loads(line) for line in (path.parent / "steps.jsonl").read_text().splitlines()]
            losses.append([step["loss"] for step in steps if "loss" in step])
    assert len(losses) == 2 and losses[0] == losses[1]


def test_weights_of_target_stages_go_when_nothing_open_needs_them(
    recipe: MakeRecipe, tmp_path: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = {"xquad": {"languages": ["qaa_Latn"]}, "mlqa": {"languages": ["qaa_Latn"]}}
    seen = []
    real = run._score

    def look(study: Study, leaf: Any, *others: Any) -> str:
        told = real(study, leaf, *others)
        seen.append((leaf.target, weights(study.workspace.root)))
        return told

    monkeypatch.setattr(run, "_score", look)
    run_study(recipe(arms={"none": []}, targets=targets), tmp_path)
    assert trained == ["pretraining seed 0", "none.xquad seed 0"]
    assert seen == [("xquad", {"pretraining", "none.xquad"}), ("mlqa", {"pretraining", "none.xquad"})]
    assert weights(tmp_path) == {"pretraining"}


def test_weights_of_target_stages_can_be_kept(recipe: MakeRecipe, tmp_path: Path, trained: list[str]) -> None:
    runtime = recipe().runtime.model_copy(update={"keep_leaf_weights": True})
    run_study(recipe(arms={"none": []}, runtime=runtime), tmp_path)
    assert weights(tmp_path) == {"pretraining", "none.udpos"}
    # Scoring anew trains nothing, and only here: without the weights the stage is trained again.
    shutil.rmtree(tmp_path / "evaluations")
    trained.clear()
    run_study(recipe(arms={"none": []}), tmp_path)
    assert trained == []
    shutil.rmtree(tmp_path / "evaluations")
    run_study(recipe(arms={"none": []}), tmp_path)
    assert trained == ["none.udpos seed 0"]


def test_best_dev_weights_are_selected_and_recorded(recipe: MakeRecipe, tmp_path: Path) -> None:
    training = {"steps": 3, "batch_size": 4, "lr": 1e-3, "dev": {"every": 1, "num_examples": 8}}
    arms = {"none": [], "pairs": [{"tasks": ["mnli", "qqp"], "training": training}]}
    study, rows = run_study(recipe(arms=arms), tmp_path)
    (pairs,) = [stage for stage in study.graph.stages() if stage.label == "pairs"]
    record = json.loads((study.workspace.stage(pairs.id) / "stage.json").read_text())
    assert (record["selection"], record["num_steps"]) == ("best_dev", 3)
    assert 1 <= record["selected_step"] <= 3
    assert {row.selection for row in rows} == {"last"}


def test_predictions_of_a_run_score_as_the_run_did(
    recipe: MakeRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every target of every form: the files of one arm, scored as a submission, give the rows of that arm."""
    _, rows = run_study(recipe(arms={"none": []}, targets=ONE_OF_EACH_FORM), tmp_path)
    predictions, labels = tmp_path / "predictions" / "none" / "seed0", tmp_path / "labels"
    assert {row.task for row in rows} == set(ONE_OF_EACH_FORM)
    for row in rows:
        task = find_task(row.task)
        paths = [path_of(folder, task, row.language) for folder in (predictions, labels)]
        items = task.kind.read_items(*paths, row.language, task.labels or ())
        again = score_items(task, items)[row.metric]
        assert again.value == row.value, (row.task, row.language, row.metric)
        if task.metrics[0] not in ("mining_f1", "top1"):  # their files hold other items, in another order
            assert (again.low, again.high, again.num_items) == (row.low, row.high, row.num_examples)

    records = tmp_path / "items" / "none" / "seed0"
    for row in rows:
        table, metric = read_items(records / f"{row.task}.parquet")[row.language][row.metric], find_metric(row.metric)
        assert (table.score(metric), *interval(table.statistics, metric)) == (row.value, row.low, row.high)
        assert len(set(table.ids)) == row.num_examples

    for suite in ("xtreme", "xtreme-r"):
        folders = ["--predictions", str(predictions), "--labels", str(labels)]
        for given in (folders, ["--items", str(records)]):
            capsys.readouterr()
            assert cli.main(["score", "--suite", suite, "--json", *given]) == 0
            score = json.loads(capsys.readouterr().out)
            english = [row for row in rows if row.language == "eng_Latn" and row.task in score["tasks"]]
            assert english
            for row in english:
                assert score["tasks"][row.task]["languages"]["en"][row.metric]["score"] == row.value


def test_arms_with_the_same_weights_share_one_evaluation(recipe: MakeRecipe, tmp_path: Path) -> None:
    mnli = [{"tasks": ["mnli"]}]
    targets = {"tatoeba": {"languages": ["qaa_Latn"]}}
    _, rows = run_study(recipe(arms={"none": [], "a": mnli, "b": mnli}, targets=targets), tmp_path)
    a, b = ([replace(row, arm="") for row in rows if row.arm == arm] for arm in "ab")
    assert a == b
    assert len(list((tmp_path / "evaluations").iterdir())) == 2
    for arm in "ab":
        assert (tmp_path / "predictions" / arm / "seed0" / "tatoeba" / "test-qaa.tsv").is_file()


def test_the_recipes_model_itself_is_scored_where_nothing_trains(recipe: MakeRecipe, tmp_path: Path) -> None:
    targets = {"tatoeba": {"languages": ["qaa_Latn"]}}
    study, (row, *_) = run_study(recipe(arms={"none": []}, pretraining=[], targets=targets), tmp_path)
    assert (row.selection, row.stage, row.seeds) == ("pretrained", study.graph.model_id, "0")


def test_what_a_pretrained_model_says_of_itself_is_in_plan_and_report(
    recipe: MakeRecipe, world: Path, tmp_path: Path
) -> None:
    pieces = Tokenizer(str(world / "tokenizer")).vocab_size
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = XLMRobertaConfig(vocab_size=pieces, max_position_embeddings=66, type_vocab_size=1, **sizes)
    XLMRobertaModel(config).save_pretrained(tmp_path / "released")
    model = {"pretrained": str(tmp_path / "released"), "tokenizer": str(world / "tokenizer")}
    targets = {"tatoeba": {"languages": ["qaa_Latn"]}}
    changed = recipe(model=model, arms={"none": []}, pretraining=[], targets=targets)
    provenance = Provenance("small", ["It is small.", "It is untrained."], "nothing", "MIT", None, {})
    write_provenance(tmp_path / "released", provenance)
    study, _ = run_study(changed, tmp_path / "run")
    assert describe_plan(study, as_json=False).splitlines()[2:4] == provenance.caveats
    page = to_markdown(build([tmp_path / "run"], baseline="none"), "report")
    assert page.splitlines()[2] == "It is small. It is untrained."
    (tmp_path / "released" / "provenance.json").unlink()
    study, _ = run_study(changed, tmp_path / "run")
    assert "small" not in describe_plan(study, as_json=False)
    assert "small" not in to_markdown(build([tmp_path / "run"], baseline="none"), "report")


def test_a_damaged_stage_is_told_in_one_line(recipe: MakeRecipe, tmp_path: Path) -> None:
    study, _ = run_study(recipe(arms={"none": []}), tmp_path)
    folder = study.workspace.stage(next(iter(study.graph.stages())).id)
    whole = (folder / "weights.safetensors").read_bytes()
    for content in (b"", whole[:200], whole[:-1], whole[:-8] + bytes(8)):
        (folder / "weights.safetensors").write_bytes(content)
        with pytest.raises(UserError, match=r"weights\.safetensors: ") as caught:
            run_study(recipe(), tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", '{"label": 3}', "\0\0\0"])
def test_a_stage_whose_record_is_damaged_is_trained_again_and_that_is_said(
    recipe: MakeRecipe, tmp_path: Path, trained: list[str], capsys: pytest.CaptureFixture[str], content: str
) -> None:
    study, rows = run_study(recipe(), tmp_path)
    trained.clear()
    (pretraining,) = [stage for stage in study.graph.stages() if stage.label == "pretraining"]
    (study.workspace.stage(pretraining.id) / "stage.json").write_text(content)
    shutil.rmtree(tmp_path / "evaluations")
    assert run_study(recipe(), tmp_path)[1] == rows
    # The stage between has what it needs of it.
    assert trained == ["pretraining seed 0", "none.udpos seed 0", "pairs.udpos seed 0"]
    assert capsys.readouterr().out.count(f"{pretraining.id}/stage.json: ") == 1


@pytest.mark.parametrize("keep", [0, 1, -1], ids=["empty", "one row", "all rows but one"])
def test_results_that_lack_rows_are_no_results(
    recipe: MakeRecipe, tmp_path: Path, trained: list[str], capsys: pytest.CaptureFixture[str], keep: int
) -> None:
    study, rows = run_study(recipe(arms={"none": []}), tmp_path)
    (leaf,) = study.graph.leaves
    path = study.results(study.evaluation(leaf))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:keep]))
    assert not study.scored(leaf)
    trained.clear()
    assert run_study(recipe(arms={"none": []}), tmp_path)[1] == rows
    assert trained == ["none.udpos seed 0"]
    assert f"{path}: not all rows are there" in capsys.readouterr().out


def test_a_record_that_cannot_be_read_now_is_not_taken_for_damaged(
    recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, _ = run_study(recipe(arms={"none": []}), tmp_path)
    shutil.rmtree(tmp_path / "evaluations")
    real = Path.read_bytes

    def stale(path: Path) -> bytes:
        if path.name == "stage.json":
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", stale)
    with pytest.raises(StorageError, match=r"stage\.json: cannot be read \(Stale file handle\)"):
        run.run_study(study)


def test_a_stage_is_told_of_as_saved_before_its_checkpoints_go(
    recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def saved(path: Path) -> None:
        seen.append((path.name, (path / "stage.json").exists(), (path / "checkpoints").exists()))

    monkeypatch.setattr(heartbeat, "saved", saved)
    runtime = recipe().runtime.model_copy(update={"checkpoint_every": 1})
    study, _ = run_study(recipe(arms={"none": []}, runtime=runtime), tmp_path)
    ids = [stage.id for stage in study.graph.stages()]
    assert seen == [told for name in ids for told in (("step-00000001", False, False), (name, True, True))]
    assert not list(tmp_path.glob("stages/*/checkpoints"))


def test_ranks_wait_for_scoring_as_long_as_it_moves(
    recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mining takes hours on full data, longer than any collective waits."""
    where, moves = [], []
    for name in ("rows_of", "tuned_threshold"):
        real = getattr(target_scores, name)

        def spy(*arguments: Any, real: Any = real, name: str = name, **options: Any) -> Any:
            where.append((name, threading.current_thread() is threading.main_thread()))
            return real(*arguments, **options)

        monkeypatch.setattr(target_scores, name, spy)
    monkeypatch.setattr(dist, "progress", lambda: moves.append(len(where)))
    run_study(recipe(arms={"none": []}, pretraining=[], targets={"bucc2018": {"languages": ["qaa_Latn"]}}), tmp_path)
    assert where == [("tuned_threshold", False), ("rows_of", False)]
    assert 1 in moves and moves[-1] == 2, "after each of them"


def test_another_precision_is_another_study_in_the_same_directory(
    recipe: MakeRecipe, tmp_path: Path, trained: list[str]
) -> None:
    def computed_in(precision: str) -> Recipe:
        targets = {"tatoeba": {"languages": ["qaa_Latn"]}}
        runtime = {"deepspeed": f"zero1_{precision}_cpu", "tokens_per_micro_batch": 1024}
        return recipe(
            arms={"none": [], "pairs": [{"tasks": ["mnli"]}]}, pretraining=[], targets=targets, runtime=runtime
        )

    study, rows = run_study(computed_in("fp32"), tmp_path)
    other, others = run_study(computed_in("bf16"), tmp_path)
    assert trained == ["pairs seed 0", "pairs seed 0"]
    # Nor is the model shared to which nothing is trained.
    assert len(list((tmp_path / "evaluations").iterdir())) == 4
    assert [{row.precision for row in of} for of in (rows, others)] == [{"fp32"}, {"bf16"}]
    for computed, precision in ((study, "fp32"), (other, "bf16")):
        (stage,) = computed.graph.stages()
        assert read_record(computed.workspace.stage(stage.id)).origin.precision == precision
    trained.clear()
    assert run_study(computed_in("fp32"), tmp_path)[1] == rows
    assert trained == []


def test_the_way_of_computing_changes_rounding_alone_and_is_recorded(
    recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MultiTaskModel, "compile_layers", partialmethod(MultiTaskModel.compile_layers, "eager"))
    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = {"config": {**recipe().model.config, **without_dropout}}
    losses, ids = [], set()
    for deepspeed, attention, compiled in (
        ("zero1_fp32_cpu", "rectangles", False),
        ("zero0_fp32_cpu", "varlen", True),
    ):
        runtime = {"deepspeed": deepspeed, "tokens_per_micro_batch": 1024, "attention": attention, "compile": compiled}
        study, _ = run_study(
            recipe(arms={"none": []}, pretraining=[], model=model, runtime=runtime), tmp_path / attention
        )
        (stage,) = study.graph.stages()
        ids.add(stage.id)
        folder = study.workspace.stage(stage.id)
        origin = read_record(folder).origin
        assert (origin.attention, origin.compiled) == (attention, compiled)
        steps = map(json.loads, (folder / "steps.jsonl").read_text().splitlines())
        losses.append([step["loss"] for step in steps if "loss" in step])
    assert len(ids) == 1
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[0]


@pytest.fixture
def shared(recipe: MakeRecipe, tmp_path: Path) -> Callable[..., Recipe]:
    """Makes a recipe whose cache is `tmp_path/shared`."""

    def made(**sections: Any) -> Recipe:
        data = {**recipe().data.model_dump(exclude_unset=True), "cache": tmp_path / "shared"}
        return recipe(**{"pretraining": [], "arms": {"none": []}, "data": data, **sections})

    return made


def test_a_prepared_cache_may_be_read_only(
    shared: Callable[..., Recipe],
    tmp_path: Path,
    read_only: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = run_study(shared(), tmp_path / "expected")[1]
    for path in (tmp_path / "shared").glob("*.baselines-*.json"):
        path.unlink()
    held = sorted((tmp_path / "shared").rglob("*"))
    read_only(tmp_path / "shared")
    assert run_study(shared(), tmp_path / "run")[1] == expected
    told = f"{tmp_path / 'shared'} cannot be written (Permission denied): chance and constant scores are kept in"
    assert capsys.readouterr().out.count(told) == 1
    assert len(list((tmp_path / "run" / "cache").glob("*.baselines-*.json"))) == 2  # one per language
    assert sorted((tmp_path / "shared").rglob("*")) == held
    # They are read from there.
    shutil.rmtree(tmp_path / "run" / "evaluations")
    assert run_study(shared(), tmp_path / "run")[1] == expected
    assert told not in capsys.readouterr().out


@pytest.mark.parametrize("lacking", ["*", "ccg-labels-*", "udpos-test-qaa_Latn-*"])
def test_a_read_only_cache_that_lacks_something_is_told_of_before_training(
    shared: Callable[..., Recipe], tmp_path: Path, trained: list[str], read_only: Callable[[Path], None], lacking: str
) -> None:
    cache = tmp_path / "shared"
    made = shared(arms={"none": [], "ccg": [{"tasks": ["ccg"]}]})
    open_study(made, tmp_path / "run", device="cpu")
    for path in cache.glob(lacking):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    read_only(cache)
    with pytest.raises(UserError) as caught:
        run_study(made, tmp_path / "run")
    told = str(caught.value)
    assert told.startswith(f"{cache}: cannot be written (Permission denied), and has no {lacking.rstrip('*')}")
    assert told.endswith("; prepare the recipe where it can be written, or give another data.cache")
    assert "\n" not in told and trained == []


def test_labels_are_replaced_in_training_and_not_in_dev_data(recipe: MakeRecipe, tmp_path: Path) -> None:
    training = {"steps": 2, "batch_size": 4, "lr": 1e-3, "dev": {"every": 1, "num_examples": 8}}
    tasks = {"tasks": ["mnli", "squad_v2", "ccg", "cosmos_qa"], "training": training}
    arms = {"none": [], "gold": [tasks], "shuffled": [{**tasks, "labels": "shuffled"}]}
    study = run_study(recipe(pretraining=[], arms=arms), tmp_path)[0]
    stages = {stage.label: stage for stage in study.graph.stages()}
    gold, shuffled = (study.steps(stages[arm]) for arm in ("gold", "shuffled"))
    drawn = [[draws.rows.tolist() for draws in loader.plan.step(0)] for loader in (gold, shuffled)]
    assert drawn[0] == drawn[1], "the same inputs in the same order"
    for name in tasks["tasks"]:
        rows = range(len(gold.features[name]))
        given = [[feature.targets for feature in loader.features[name].load(rows)] for loader in (gold, shuffled)]
        assert given[0] != given[1]
    (part,) = {part for part in train_stage.dev_parts(stages["shuffled"].config) if part.task == "mnli"}
    record = read_record(study.workspace.stage(stages["shuffled"].id))
    assert record.selection == "best_dev" and record.origin.hyperparameters["labels"] == "shuffled"
    assert record.origin.data == read_record(study.workspace.stage(stages["gold"].id)).origin.data
    (work, *_) = train_stage._dev_works(study, stages["shuffled"])
    assert work.features is study.catalogue.open(part)


def test_seeds_share_a_pretraining_and_say_so(recipe: MakeRecipe, tmp_path: Path, trained: list[str]) -> None:
    targets = {"udpos": LANGUAGES, "tatoeba": {"languages": ["qaa_Latn"]}}
    shared = recipe(seeds=[0, 1, 2], pretraining_seeds=[7, 8], arms={"none": []}, targets=targets)
    rows = run_study(shared, tmp_path)[1]
    pretrained = ["pretraining seed 7", "none.udpos seed 0", "pretraining seed 8", "none.udpos seed 1"]
    assert trained == [*pretrained, "none.udpos seed 2"]
    found = {(row.task, row.seed): (row.seeds, row.value) for row in rows if row.primary and row.language == "qaa_Latn"}
    assert {key: seeds for key, (seeds, value) in found.items()} == {
        **{("udpos", 0): "7-0", ("udpos", 1): "8-1", ("udpos", 2): "7-2"},
        # untrained for it: the very same weights
        **{("tatoeba", 0): "7", ("tatoeba", 1): "8", ("tatoeba", 2): "7"},
    }
    assert found["tatoeba", 0] == found["tatoeba", 2]
