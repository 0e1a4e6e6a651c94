"""Sweeps that make no sense are refused where they are written."""

from __future__ import annotations

from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.config.sweep import swept
from xstilts.config.training import StageConfig
from xstilts.study.stage_data import measured_whole

DEV = {"dev": {"every": 10}, "steps": 20}


def made(stage: dict[str, Any], **sections: Any) -> Recipe:
    values = {"name": "tiny", "data": {"hub": True}, "model": {}, "targets": {"udpos": {}}, "pilot_seeds": [101]}
    arms = {"none": [], "nli": [{"tasks": ["mnli"], "training": DEV, **stage}]}
    return Recipe.model_validate({**values, "arms": arms, **sections})


LRS = {"sweep": {"training.lr": [1e-5, 3e-5]}}
HARD = {"part": "hardest", "fraction": 0.3, "reference": {"seed": 1000}}


@pytest.mark.parametrize(
    ("stage", "sections", "told"),
    [
        ({**LRS, "training": {"steps": 20}}, {}, "sweep chooses by English dev scores, and training.dev is null"),
        ({"sweep": {"training.lr": [1e-5]}}, {}, "sweep: training.lr needs two different values at least, each once"),
        ({"sweep": {"training.lr": [1, 1, 2]}}, {}, "needs two different values at least, each once"),
        ({"sweep": {"training.lr": [1e-5, -1.0]}}, {}, "sweep: training.lr = -1: Input should be greater than 0"),
        ({"sweep": {"training.batch_size": [8, 8.5]}}, {}, "sweep: training.batch_size = 8.5: Input should be a valid"),
        ({"sweep": {"training.epochs": [1, 2]}}, {}, "sweep: training.epochs = 1: Value error, training.steps and"),
        ({"sweep": {"training.optimizer": [1, 2]}}, {}, "'training.lr'"),
        ({"sweep": {"training.lr": [1, 2], "training.warmup": [0, 1]}}, {}, "sweep chooses one option; give one"),
        ({**LRS, "subset": HARD}, {}, "would rank the examples anew by subset.reference; give subset.reference.lr"),
        ({"sweep": {"training.batch_size": [8, 16]}, "subset": HARD}, {}, "name a file in subset.ranking"),
        (LRS, {"pilot_seeds": None}, "arm 'nli' has a sweep, whose pilots need seeds; give some, none of seeds"),
        (LRS, {"seeds": [1, 101]}, "101 is among seeds, and a run would be scored that its own sweep has selected"),
        ({}, {}, "no arm has a sweep that would read them; drop them"),
        (LRS, {"pretraining": [{"tasks": ["mnli"], "training": DEV, **LRS}]}, "write the value out"),
    ],
)
def test_what_makes_no_sense_is_refused(stage: dict[str, Any], sections: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=r"sweep|seeds") as error:
        made(stage, **sections)
    assert told in str(error.value)


def test_a_value_written_out_is_the_stage_that_says_it() -> None:
    (config,) = made({"sweep": {"training.batch_size": [8, 16]}}).arms["nli"]
    assert swept(config, 8.0) == StageConfig.model_validate({"tasks": ["mnli"], "training": {**DEV, "batch_size": 8}})


def test_a_ranking_is_one_for_all_values() -> None:
    hard = {**HARD, "reference": {"seed": 1000, "lr": 2e-5}}
    (config,) = made({**LRS, "subset": hard}).arms["nli"]
    references = [measured_whole(swept(config, lr)) for lr in (1e-5, 3e-5)]
    assert references[0] == references[1] and references[0].training.lr == 2e-5
