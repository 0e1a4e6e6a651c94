"""What may be trained together, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.config.target import Target
from xstilts.config.trainable import Trainable
from xstilts.config.training import StageConfig
from xstilts.core.errors import UserError

FROZEN = {"encoder": "none", "bottleneck": 8}


def test_everything_is_trained_unless_a_stage_or_a_target_says_otherwise() -> None:
    assert StageConfig(tasks=["mnli"]).trainable == Trainable(encoder="all", bottleneck=None, orthogonal=0.0)
    target = Target.model_validate({"trainable": FROZEN, "train_on": ["siqa", "copa"]})
    assert [stage.trainable.bottleneck for stage in target.stages("xcopa")] == [8, 8]


@pytest.mark.parametrize(
    ("trainable", "message"),
    [
        ({"bottleneck": 8}, "trainable.bottleneck is of adapters in a frozen encoder; set trainable.encoder: none"),
        ({"encoder": "none", "orthogonal": 0.1}, "there are none; give trainable.bottleneck"),
        ({**FROZEN, "bottleneck": 0}, "greater than 0"),
        ({**FROZEN, "orthogonal": -1}, "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_refused(trainable: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StageConfig.model_validate({"tasks": ["mnli"], "trainable": trainable})


@pytest.mark.parametrize("option", [{"trainable": FROZEN}, {"source_language": "swh_Latn"}])
def test_a_target_that_trains_nothing_has_nothing_to_freeze(option: dict[str, Any]) -> None:
    values = {"name": "a", "model": {}, "data": {"hub": True}, "arms": {"none": []}}
    recipe = Recipe.model_validate({**values, "targets": {"tatoeba": option}})
    with pytest.raises(UserError, match=rf"targets.tatoeba.{min(option)}: nothing is trained for it; drop it"):
        list(recipe.chains())
