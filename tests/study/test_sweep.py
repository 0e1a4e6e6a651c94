"""Sweeps: pilots first, the best mean dev score, and a study whose stages are those of the value written out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.study import train_stage
from xstilts.study.describe_plan import describe_plan
from xstilts.study.offers import Offers
from xstilts.study.open import open_study
from xstilts.study.provenance import read_run
from xstilts.study.record import read_record
from xstilts.study.recording import about_study
from xstilts.study.run import run_study
from xstilts.study.study import Study
from xstilts.training.job import Job

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]
TRAINING = {"steps": 2, "batch_size": 4, "lr": 1e-3, "dev": {"every": 1, "num_examples": 6}}
VALUES = [1e-3, 3e-2]
DEV_SCORES = {(1e-3, 101): 60.0, (1e-3, 102): 50.0, (3e-2, 101): 40.0, (3e-2, 102): 80.0}
"""The second value is better on average, and worse under the first seed."""


@pytest.fixture(scope="module")
def swept(recipe: MakeRecipe) -> Recipe:
    """Two stages, the first of them swept."""
    first = {"tasks": ["mnli"], "training": TRAINING, "sweep": {"training.lr": VALUES}}
    return recipe(arms={"none": [], "two": [first, {"tasks": ["qqp"]}]}, pilot_seeds=[101, 102])


@pytest.fixture(scope="module")
def trained() -> list[str]:
    return []


@pytest.fixture(scope="module")
def study(
    swept: Recipe, trained: list[str], tmp_path_factory: pytest.TempPathFactory, one_rank: None
) -> Iterator[Study]:
    """A finished study whose pilots are told their scores; opened again."""
    folder = tmp_path_factory.mktemp("swept")
    real = train_stage.train

    def train(job: Job, *arguments: Any) -> Any:
        trained.append(job.name)
        outcome = real(job, *arguments)
        seed, lr = int(job.name.rpartition(" ")[2]), job.training.lr
        return type(outcome)(**{**vars(outcome), "dev_score": DEV_SCORES.get((lr, seed), outcome.dev_score)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_stage, "train", train)
        run_study(open_study(swept, folder, device="cpu"))
        yield open_study(swept, folder, device="cpu")


def test_pilots_are_trained_before_the_study(study: Study, trained: list[str]) -> None:
    pilots = [f"two-1.lr={value} seed {seed}" for value in ("0.001", "0.03") for seed in (101, 102)]
    assert [name for name in trained if "lr=" in name] == pilots
    assert [name for name in trained if name.endswith(" 0")] == trained[6:]
    assert trained[:2] == ["pretraining seed 101", pilots[0]]
    assert "two-1 seed 0" in trained and "two-2 seed 0" in trained


def test_the_stages_are_those_of_the_value_written_out(study: Study, recipe: MakeRecipe, tmp_path: Path) -> None:
    first = {"tasks": ["mnli"], "training": {**TRAINING, "lr": 3e-2}}
    written = open_study(recipe(arms={"none": [], "two": [first, {"tasks": ["qqp"]}]}), tmp_path, device="cpu")

    def own(made: Study) -> list[tuple[str, str]]:
        return [(stage.id, stage.label) for leaf in made.graph.leaves for stage in leaf.lineage]

    assert own(study) == own(written)
    assert not written.graph.pilots


def test_choice_and_scores_are_recorded(study: Study) -> None:
    run = read_run(study.workspace.root)
    assert run is not None
    (choice,) = run.sweeps
    assert choice["scores"] == {"0.001": [60.0, 50.0], "0.03": [40.0, 80.0]}
    assert (choice["label"], choice["option"], choice["seeds"], choice["chosen"]) == (
        *("two-1", "training.lr", [101, 102]),
        3e-2,
    )
    assert fmean(choice["scores"]["0.03"]) > fmean(choice["scores"]["0.001"])
    (stage,) = [stage for stage in study.graph.stages() if stage.label == "two-1"]
    assert read_record(study.workspace.stage(stage.id)).origin.hyperparameters["sweep"] == choice
    assert {planned.id for planned in run.stages} == {stage.id for stage in study.graph.stages()}


def test_a_finished_study_trains_nothing_and_has_no_weights_of_pilots(study: Study, trained: list[str]) -> None:
    before = len(trained)
    run_study(study)
    assert (len(trained), study.missing()) == (before, [])
    kept = {json.loads((p.parent / "stage.json").read_text())["label"] for p in study.workspace.root.glob("*/*/w*")}
    assert kept == {"pretraining", "two-1", "two-2"}
    assert "two-1: training.lr 0.03 chosen, of 0.001 (55.0), 0.03 (60.0) (English dev)" in describe_plan(
        study, as_json=False
    )


def test_a_plan_shows_pilots_and_what_waits_for_them(swept: Recipe, tmp_path: Path) -> None:
    study = open_study(swept, tmp_path, device=None)
    plan = json.loads(describe_plan(study, as_json=True))
    labels = [(stage["label"], stage["seed"]) for stage in plan["stages"] if stage["to_train"]]
    assert labels.count(("two-1.lr=0.001", 101)) == labels.count(("two-1.lr=0.03", 102)) == 1
    assert ("none.udpos", 0) in labels and not any(label == "two-1" for label, _ in labels)
    assert plan["sweeps"][0]["chosen"] is None
    said = describe_plan(study, as_json=False)
    assert "two-1: training.lr chosen by pilots when they are trained, of 0.001, 0.03 (English dev)" in said


def test_a_study_is_the_same_before_and_after_its_sweeps_choose(
    study: Study, swept: Recipe, recipe: MakeRecipe, tmp_path: Path
) -> None:
    """A launch that opened it before, and one that opened it after, work on it together."""
    before = open_study(swept, tmp_path, device="cpu")
    assert not before.has_chosen and study.has_chosen
    assert before.digest == study.digest
    assert about_study(before).expected == about_study(study).expected
    assert {leaf.arm for leaf in before.graph.leaves} == {"none"}
    assert {leaf.arm for leaf in before.graph.planned} == {"none", "two"}
    others = [{"pilot_seeds": [101, 103]}, {"arms": {**swept.arms, "two": swept.arms["two"][:1]}}]
    for other in others:
        assert open_study(swept.model_copy(update=other), tmp_path, device="cpu").digest != study.digest


def test_a_pilot_that_ended_after_the_look_is_whole_though_its_weights_are_gone(study: Study) -> None:
    """Another launch may choose and drop them between a launch's look and its lease; it would be trained again."""
    real, looking = Study.ended, True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "ended", staticmethod(lambda folder: not looking and real(folder)))
        offered = Offers(study).ready() or []
        looking = False
        found = [offer for offer in offered if offer.key in {pilot.id for pilot in study.graph.pilots}]
        assert len(found) == 4 and all(offer.is_whole(offer.final) for offer in found)
    assert not any(study.holds_stage(offer.final) for offer in found)


def test_run_json_keeps_what_an_older_launch_lived_to_see_chosen(study: Study, tmp_path: Path) -> None:
    shutil.copytree(study.workspace.root / "launches", tmp_path / "launches")
    written = next((tmp_path / "launches").glob("*.json"))
    told = json.loads(written.read_text())
    (choice,) = told["sweeps"]
    told["launch"] |= {"id": "killed", "start": "2999-01-01T00:00:00Z", "end": None, "exit": None}
    told |= {"stages": [], "sweeps": [{**choice, "chosen": None}]}
    (tmp_path / "launches" / "killed.json").write_text(json.dumps(told))
    run, real = read_run(tmp_path), read_run(study.workspace.root)
    assert run and real
    assert run.launches[-1].id == "killed"
    assert (run.sweeps, run.stages) == (real.sweeps, real.stages)


def test_a_sweep_behind_a_sweep_goes_on_from_what_was_chosen(recipe: MakeRecipe, tmp_path: Path) -> None:
    stages = [
        {"tasks": [task], "training": {**TRAINING, "steps": 1}, "sweep": {"training.lr": VALUES}}
        for task in ("mnli", "qqp")
    ]
    made = recipe(
        pretraining=[],
        arms={"none": [], "two": stages},
        pilot_seeds=[101],
        targets={"udpos": {"languages": ["qaa_Latn"]}},
    )
    run_study(open_study(made, tmp_path, device="cpu"))
    study = open_study(made, tmp_path, device="cpu")
    first, second = study.graph.choices
    assert (first.label, second.label) == ("two-1", "two-2") and second.chosen in VALUES
    parents = {pilot.parent.config.training.lr for pilot in study.graph.pilots if pilot.parent}
    assert parents == {first.chosen}
    assert study.missing() == []
