from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from xstilts.config.recipe import Recipe
from xstilts.config.training import Mixing, StageConfig, Training

RANDOM = {"part": "random", "fraction": 0.3}


def recipe(**sections: Any) -> Recipe:
    given: dict[str, Any] = {"name": "r", "model": {}, "data": {"root": "."}, "arms": {"none": []}, "targets": {}}
    return Recipe.model_validate({**given, **sections})


def test_stage_without_training_takes_the_recipes() -> None:
    made = recipe(training={"steps": 3, "dev": {"every": 2}}, pretraining=[{"tasks": ["mlm_text"]}])
    training = made.pretraining[0].training
    assert training.steps == 3
    assert training.dev is not None
    assert (training.dev.every, training.dev.num_examples, training.dev.patience) == (2, 500, 30)


def test_stage_switches_inherited_dev_off() -> None:
    made = recipe(training={"steps": 3, "dev": {}}, pretraining=[{"tasks": ["mlm_text"], "training": {"dev": None}}])
    assert made.pretraining[0].training.dev is None


def test_recipe_survives_a_round_trip() -> None:
    made = recipe(training={"epochs": 2}, arms={"none": [], "a": [{"tasks": ["qqp"]}]}, targets={"udpos": None})
    assert Recipe.model_validate(made.model_dump()) == made


@pytest.mark.parametrize("betas", [[0.9, 1.0], [1.0, 0.999], [-0.1, 0.999]])
def test_moments_that_would_never_move_are_refused(betas: list[float]) -> None:
    with pytest.raises(ValidationError, match="betas"):
        Training.model_validate({"steps": 1, "betas": betas})


def test_baseline_is_checked_by_default() -> None:
    with pytest.raises(ValidationError, match="'none' is not among the arms"):
        recipe(arms={"other": []})


@pytest.mark.parametrize(
    "mixing",
    [
        {"weighting": "explicit"},
        {"weights": {"qqp": 1}},
        {"weighting": "uniform", "cap": 5},
        {"weighting": "capped", "temperature": 2},
        {"weighting": "temperature", "temperature": 0.5},
        {"weighting": "explicit", "weights": {"qqp": 0}},
        {"loss_weights": {"qpq": 1}},
    ],
)
def test_mixing_refuses_what_it_would_not_read(mixing: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Mixing.model_validate(mixing)


@pytest.mark.parametrize(
    ("mixing", "message"),
    [
        ({"weighting": "explicit", "weights": {"qqp": 1}}, "no weight for 'mnli'"),
        (
            {"weighting": "explicit", "weights": {"qqp": 1, "mnli": 2, "ccg": 1}},
            "names 'ccg', which is not in the stage",
        ),
        ({"loss_weights": {"ccg": 1}}, "mixing.loss_weights names 'ccg'"),
    ],
)
def test_weights_are_those_of_the_stages_tasks(mixing: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate({"tasks": ["mnli", "qqp"], "mixing": mixing})


def test_languages_need_masked_language_modelling() -> None:
    stage = StageConfig.model_validate({"tasks": ["mnli", "mlm_text"], "languages": ["eng_Latn", "swh_Latn"]})
    assert stage.languages_of("mlm_text") == ["eng_Latn", "swh_Latn"]
    assert stage.languages_of("mnli") == ["eng_Latn"]
    with pytest.raises(ValidationError, match="read by masked language modelling, which is not in the stage"):
        StageConfig.model_validate({"tasks": ["mnli"], "languages": ["swh_Latn"]})


def test_labels_are_replaced_only_where_there_are_some() -> None:
    assert StageConfig.model_validate({"tasks": ["mnli", "squad_v2"], "labels": "random"}).labels == "random"
    message = "labels: shuffled replaces labels, and 'mlm_text' has none; drop one of them"
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate({"tasks": ["mnli", "mlm_text"], "labels": "shuffled"})


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"tasks": ["mnli"], "subset": {"part": "hardest", "fraction": 0.3}}, "hardest needs a ranking; name its file"),
        ({"tasks": ["mnli"], "subset": {**RANDOM, "ranking": "a"}}, "random needs no ranking; drop it"),
        ({"tasks": ["mnli"], "code_switch": {"dictionary": "a", "rate": 0.3}}, "code_switch is of text for masked"),
        ({"tasks": ["mlm_text"], "code_switch": {"dictionary": "a", "rate": 0}}, "greater than 0"),
        ({"tasks": ["mlm_text"], "source_language": "swh_Latn"}, "the stage has none; use languages"),
        ({"tasks": ["mnli"], "source_language": "Swahili"}, "is no language key"),
        ({"tasks": ["mnli"], "subset": {**RANDOM, "fraction": 0}}, "greater than 0"),
        ({"tasks": ["mnli", "qqp"], "subset": RANDOM}, "the stage has several; leave one"),
        ({"tasks": ["mlm_text"], "subset": RANDOM}, "'mlm_text' has none; drop one of them"),
        ({"tasks": ["ccg"], "subset": {**RANDOM, "stratify": "label"}}, "an example of 'ccg' has no single label"),
    ],
)
def test_a_subset_is_of_one_tasks_labelled_examples(stage: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StageConfig.model_validate(stage)


def test_steps_from_epochs_round_up() -> None:
    # 2.5 passes over 101 examples are 252.5 examples: 31.6 batches of 8
    assert Training(epochs=2.5, batch_size=8).count_steps(101) == 32
    assert Training(steps=7).count_steps(101) == 7


def test_sections_are_immutable() -> None:
    with pytest.raises(ValidationError):
        Training(steps=1).steps = 2  # type: ignore[misc]
