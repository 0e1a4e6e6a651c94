"""`difficulty` of a small finished run: its numbers by hand from visits, labels and one dev item at a time."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch

from xstilts import cli
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.data.batch import collate
from xstilts.data.catalogue import Part
from xstilts.data.store import FeatureSet
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.measures.visits import read_visits
from xstilts.study.difficulty.of_run import difficulty_of_run
from xstilts.study.difficulty.table import Difficulty
from xstilts.study.graph import Stage
from xstilts.study.models import Models
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.study.similarity.measure import intermediate_stages
from xstilts.study.study import Study
from xstilts.study.works import kinds_of

pytestmark = pytest.mark.usefixtures("one_rank")

TASKS = ["mnli", "squad_v2", "ccg", "cosmos_qa"]
NUM_STEPS = 15
NUM_DEV = 10
ARMS = {
    "none": [],
    "four": [{"tasks": TASKS, "training": {"steps": NUM_STEPS, "batch_size": 32, "dev": {"every": NUM_STEPS}}}],
    "text": [{"tasks": ["mlm_text"]}],
}


@pytest.fixture(scope="module")
def study(recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory, one_rank: None) -> Study:
    study = open_study(recipe(arms=ARMS, pretraining=[]), tmp_path_factory.mktemp("study"), device="cpu")
    run_study(study)
    return study


@pytest.fixture(scope="module")
def rows(study: Study) -> dict[str, Difficulty]:
    said: list[str] = []
    found = {row.task: row for row in difficulty_of_run(study.workspace.root, NUM_DEV, said.append)}
    assert said == []
    return found


@pytest.fixture(scope="module")
def stage(study: Study) -> Stage:
    return next(stage for stage in intermediate_stages(study) if stage.label == "four")


def test_every_task_of_every_intermediate_stage_has_a_row(rows: dict[str, Difficulty]) -> None:
    assert list(rows) == [*TASKS, "mlm_text"]
    for task in TASKS:
        assert rows[task].missing == ""
        assert rows[task].num_items == 40 and rows[task].num_dev == NUM_DEV
        assert 0 < (rows[task].confidence or 0) < 1 and (rows[task].variability or 0) > 0
        assert 0 < (rows[task].code_length or 0) < 3
    text = rows["mlm_text"]
    assert (text.normalised_error, text.code_length, text.confidence, text.v_information) == (None,) * 4
    assert text.missing == "its kind has no null model; no item was drawn three times"


def test_the_error_is_that_of_the_best_constant_label(study: Study, stage: Stage, rows: dict[str, Difficulty]) -> None:
    root = study.workspace.root
    all_of_dev = {row.task: row for row in difficulty_of_run(root, 1000, lambda line: None)}["cosmos_qa"]
    lines = (study.workspace.stage(stage.id) / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    (score,) = [record["dev_tasks"]["cosmos_qa"] for record in map(json.loads, lines) if "dev" in record]
    labels = Counter(target for feature in dev(study, "cosmos_qa").load(range(12)) for target in feature.targets)
    majority = 100 * max(labels.values()) / 12
    assert majority > 100 / 4 + 2, "above chance, which is drawn"
    assert all_of_dev.normalised_error == pytest.approx((100 - score) / (100 - majority))


def test_the_code_length_is_paid_by_the_first_visits(study: Study, stage: Stage, rows: dict[str, Difficulty]) -> None:
    visits = read_visits(study.workspace.stage(stage.id) / "visits", NUM_STEPS).to_pylist()
    first = [row for row in visits if row["task"] == "mnli" and row["visit"] == 0]
    assert len(first) == 40
    features = study.steps(stage).features["mnli"]
    label = {feature.id: feature.targets[0] for feature in features.load(range(len(features)))}
    counts = Counter(label[row["id"]] for row in first)
    null = sum(-math.log2(counts[label[row["id"]]] / 40) for row in first)
    paid = sum(row["nll"] for row in first) / math.log(2)
    assert rows["mnli"].code_length == pytest.approx(paid / null, rel=1e-6)


def test_v_information_is_what_dev_items_tell(study: Study, stage: Stage, rows: dict[str, Difficulty]) -> None:
    model = Models(study.recipe.model, study.workspace, study.catalogue).end(stage).eval()
    features = dev(study, "mnli").load(range(NUM_DEV))
    counts = Counter(feature.targets[0] for feature in features)
    saved = 0.0
    for feature in features:
        batch = collate([TaskItems.of("mnli", [feature], 1.0)], kinds_of(TASKS), Collation(study.catalogue.tokenizer))
        with torch.no_grad():
            log_p = model(batch, "logits")["mnli"].log_softmax(-1)[0, feature.targets[0]].item()
        saved += log_p / math.log(2) - math.log2(counts[feature.targets[0]] / NUM_DEV)
    assert rows["mnli"].v_information == pytest.approx(saved / NUM_DEV, abs=1e-5)


def test_the_command_prints_a_table_or_csv(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(study.workspace.root)
    assert cli.main(["difficulty", root, "--examples", str(NUM_DEV)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["stage", "task", "items", "error", "code", "conf.", "var.", "V-inf."]
    assert max(map(len, lines)) <= 80
    assert "text seed 0, mlm_text: its kind has no null model; no item was drawn three times" in lines
    said = " ".join(lines[next(i for i, line in enumerate(lines) if line.startswith("Rank agreement")) :])
    agreement = " ".join(said.split())
    assert agreement.count("(of 4)") == 10, "five measures, pair by pair"
    assert cli.main(["difficulty", root, "--csv", "--examples", str(NUM_DEV)]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["task"] for row in table] == [*TASKS, "mlm_text"]
    assert table[-1]["code_length"] == ""


def test_without_a_stage_that_has_ended_it_is_one_line(study: Study) -> None:
    with pytest.raises(UserError, match="says no recipe there; give the directory of a run"):
        difficulty_of_run(study.workspace.root / "nowhere", NUM_DEV, print)


def dev(study: Study, task: str) -> FeatureSet:
    return study.catalogue.open(Part(task, "dev", "eng_Latn", scored=True))
