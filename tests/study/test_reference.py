"""Parts of a task by how hard a reference stage found its examples: trained once, ranked once, checked ever after."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.measures.visits import read_visits
from xstilts.study.difficulty.of_run import difficulty_of_run
from xstilts.study.graph import Stage
from xstilts.study.open import open_study
from xstilts.study.rank_examples import ranking_of
from xstilts.study.record import read_record, write_record
from xstilts.study.run import run_study
from xstilts.study.study import Study

pytestmark = pytest.mark.usefixtures("one_rank")

MakeRecipe = Callable[..., Recipe]
TASK = "commonsense_qa"
SEED = 1000
TRAINING = {"steps": 3, "batch_size": 8, "lr": 1e-3}


def third(part: str, **options: Any) -> list[dict[str, Any]]:
    """A stage on a third of the examples, in equal steps."""
    ranked = {} if part == "random" else {"reference": {"seed": SEED}}
    subset = {"part": part, "fraction": 0.333, "stratify": "label", **ranked, **options}
    return [{"tasks": [TASK], "subset": subset, "training": TRAINING}]


ARMS = {"none": [], "hardest": third("hardest"), "easiest": third("easiest"), "random": third("random")}


def opened(recipe: MakeRecipe, run_dir: Path, **sections: Any) -> Study:
    made = recipe(**{"pretraining": [], "arms": ARMS, "seeds": [0, 1], **sections})
    return open_study(made, run_dir, device="cpu")


@pytest.fixture(scope="module")
def study(recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory, one_rank: None) -> Study:
    study = opened(recipe, tmp_path_factory.mktemp("reference"))
    run_study(study)
    return study


def stage_of(study: Study, label: str, seed: int = 0) -> Stage:
    return next(stage for stage in study.graph.stages() if stage.label == label and stage.seed == seed)


def ids_of(study: Study, label: str, seed: int = 0) -> list[str]:
    features = study.steps(stage_of(study, label, seed)).features[TASK]
    return [feature.id for feature in features.load(range(len(features)))]


def test_arms_and_seeds_share_one_reference_stage(study: Study) -> None:
    references = [stage for stage in study.graph.stages() if stage.label.startswith("reference")]
    assert [(stage.label, stage.seed, stage.num_steps) for stage in references] == [(f"reference-{TASK}", SEED, 15)]
    assert references[0].config.subset is None and references[0].sizes == {TASK: 40}
    assert study.missing() == []
    assert len(list((study.workspace.root / "rankings").iterdir())) == 1


def test_the_parts_are_those_of_the_mean_p_gold_with_equal_labels(study: Study) -> None:
    reference = stage_of(study, f"reference-{TASK}", SEED)
    p_gold = defaultdict(list)
    for row in read_visits(study.workspace.stage(reference.id) / "visits", 15).to_pylist():
        p_gold[row["id"]].append(row["p_gold"])
    assert {len(values) for values in p_gold.values()} == {3}
    whole = study.steps(reference).features[TASK]
    by_label: dict[int, list[str]] = defaultdict(list)
    for feature in whole.load(range(len(whole))):
        by_label[feature.targets[0]].append(feature.id)
    hardest, easiest = set[str](), set[str]()
    for ids in by_label.values():
        ranked = sorted(ids, key=lambda id_: sum(p_gold[id_]))
        size = int(0.333 * len(ids))
        hardest |= set(ranked[:size])
        easiest |= set(ranked[len(ids) - size :])
    assert set(ids_of(study, "hardest")) == hardest == set(ids_of(study, "hardest", seed=1))
    assert set(ids_of(study, "easiest")) == easiest
    assert len(ids_of(study, "random")) == len(hardest)
    steps = {stage_of(study, arm).num_steps for arm in ("hardest", "easiest", "random")}
    assert steps == {3}


def test_the_table_of_difficulties_has_the_reference_and_the_parts(study: Study) -> None:
    rows = {(row.label, row.seed): row for row in difficulty_of_run(study.workspace.root, 5, print)}
    arms = {(arm, seed) for arm in ("hardest", "easiest", "random") for seed in (0, 1)}
    assert rows.keys() == {(f"reference-{TASK}", SEED), *arms}
    assert rows[f"reference-{TASK}", SEED].confidence is not None
    assert {row.num_items for row in rows.values()} == {len(ids_of(study, "hardest"))}, "as many of each as all have"


def test_the_digest_is_in_the_record_and_another_ranking_is_refused(study: Study, tmp_path: Path) -> None:
    (path,) = (study.workspace.root / "rankings").iterdir()
    digest = path.stem.rsplit("-", 1)[-1]
    stage = stage_of(study, "hardest")
    assert read_record(study.workspace.stage(stage.id)).ranking == digest
    assert read_record(study.workspace.stage(stage_of(study, "random").id)).ranking is None
    assert ranking_of(study, stage) == digest

    kept = path.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in kept.splitlines()]
    rows[0]["hardness"], rows[-1]["hardness"] = rows[-1]["hardness"], rows[0]["hardness"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(UserError, match="damaged: it now has the digest"):
        study.steps(stage)
    other = path.with_name(path.name.replace(digest, "0" * 64))
    path.rename(other)
    path.write_text(kept, encoding="utf-8")
    with pytest.raises(UserError, match=f"two rankings of one reference stage, {'0' * 64} and {digest}"):
        study.steps(stage)
    other.unlink()
    assert ids_of(study, "hardest")


def test_a_machine_that_ranks_otherwise_is_told_with_both_digests(
    study: Study, recipe: MakeRecipe, tmp_path: Path
) -> None:
    (path,) = (study.workspace.root / "rankings").iterdir()
    digest = path.stem.rsplit("-", 1)[-1]
    pinned = {"none": [], "hardest": third("hardest", reference={"seed": SEED, "digest": "f" * 64})}
    elsewhere = opened(recipe, tmp_path / "run", arms=pinned)
    shutil.copytree(study.workspace.root / "stages", elsewhere.workspace.root / "stages")
    stage = stage_of(elsewhere, "hardest")
    assert stage.id == stage_of(study, "hardest").id, "the digest is checked, and no part of the stage"
    with pytest.raises(UserError, match=f"subset.reference.digest has the ranking {'f' * 64}.* {digest};"):
        ranking_of(elsewhere, stage)
    assert not (elsewhere.workspace.root / "rankings").exists()

    # The ranking file is gone, and a finished stage was trained by another ranking than the visits now give.
    unpinned = opened(recipe, tmp_path / "run")
    finished = unpinned.workspace.stage(stage_of(unpinned, "easiest").id)
    write_record(finished, replace(read_record(finished), ranking="e" * 64))
    with pytest.raises(
        UserError, match=f"{finished} has the ranking {'e' * 64}.* ranks by confidence here as {digest}"
    ):
        ranking_of(unpinned, stage_of(unpinned, "hardest"))
    by_other = opened(recipe, tmp_path / "run", arms={"none": [], "part": third("hardest", by="variability")})
    assert ranking_of(by_other, stage_of(by_other, "part")) not in (None, digest), "another measure, another ranking"


def test_the_id_depends_on_reference_and_measure_and_not_on_the_ranking(
    study: Study, recipe: MakeRecipe, tmp_path: Path
) -> None:
    """A plan is made before anything is trained."""
    ids = {stage_of(study, "hardest").id}
    assert stage_of(opened(recipe, tmp_path / "fresh"), "hardest").id in ids
    for other in (
        {"by": "nll"},
        {"by": "variability"},
        {"by": "v_information"},
        {"reference": {"seed": SEED + 1}},
        {"reference": {"seed": SEED, "epochs": 4}},
        {"reference": {"seed": SEED, "lr": 0.02}},
        {"stratify": None},
    ):
        arms = {"none": [], "hardest": third("hardest", **other)}
        ids.add(stage_of(opened(recipe, tmp_path / "fresh", arms=arms), "hardest").id)
    assert len(ids) == 8


def test_an_untrained_reference_is_missing_first(recipe: MakeRecipe, tmp_path: Path) -> None:
    fresh = opened(recipe, tmp_path / "fresh", pretraining=[{"tasks": ["mlm_text"]}], seeds=[0])
    labels = [(stage.label, stage.seed) for stage in fresh.missing()]
    first = labels.index((f"reference-{TASK}", SEED))
    assert labels.index(("pretraining", SEED)) < first < labels.index(("hardest", 0))
    with pytest.raises(UserError, match=r"the ranking by its reference stage is not in .*; run the recipe"):
        fresh.steps(stage_of(fresh, "hardest"))


@pytest.mark.parametrize(
    ("options", "sections", "message"),
    [
        ({"reference": {"seed": 1}}, {}, "subset.reference.seed: 1 is a seed of the study"),
        ({}, {"runtime": {"record_visits": False}}, "reads visits, which runtime.record_visits turns off"),
        ({"ranking": "a.jsonl"}, {}, "subset.ranking and subset.reference are two rankings; keep one"),
        ({"reference": {"seed": 9, "epochs": 2}}, {}, "greater than or equal to 3"),
        ({"part": "random", "reference": {"seed": 9}}, {}, "needs no ranking; drop it"),
        ({"part": "random", "by": "nll", "reference": None}, {}, "subset.by is read with subset.reference alone"),
        ({"reference": None}, {}, "needs a ranking; name its file, or a reference stage"),
    ],
)
def test_mistakes(recipe: MakeRecipe, options: dict[str, Any], sections: dict[str, Any], message: str) -> None:
    subset = {"part": "hardest", "fraction": 0.3, "reference": {"seed": SEED}, **options}
    arms = {"none": [], "part": [{"tasks": [TASK], "subset": subset}]}
    with pytest.raises(ValidationError, match=message):
        recipe(**{"pretraining": [], "arms": arms, "seeds": [0, 1], **sections})
