"""Which arms a stage can take its number of steps from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xstilts.config.load import load_recipe
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError

MNLI, DEV = {"tasks": ["mnli"]}, {"every": 1}
CONTROL = {"tasks": ["mlm_text"], "match": {"steps": "mnli"}}


def recipe(arms: dict[str, Any], **sections: Any) -> Recipe:
    values = {"name": "a", "model": {}, "data": {"hub": True}, "training": {"epochs": 3}, "targets": {"udpos": {}}}
    return Recipe.model_validate({**values, "arms": {"none": [], **arms}, **sections})


def test_a_stage_that_matches_an_arm_inherits_no_number_of_steps() -> None:
    arms = recipe({"mnli": [MNLI], "control": [CONTROL]}).arms
    (control,), (mnli,) = arms["control"], arms["mnli"]
    assert (control.training.steps, control.training.epochs, mnli.training.epochs) == (None, None, 3)


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"mnli": [MNLI], "control": [{**CONTROL, "training": {"steps": 3}}]}, "match.steps excludes training.steps"),
        ({"mnli": [MNLI], "control": [{**CONTROL, "training": {"dev": DEV}}]}, "set it to null here"),
        (
            {"mnli": [{**MNLI, "training": {"dev": DEV}}], "control": [CONTROL]},
            "may stop arm 'mnli' earlier; set it to",
        ),
        ({"mnly": [MNLI], "control": [CONTROL]}, "control: match.steps names no arm 'mnli'; did you mean 'mnly'"),
        ({"mnli": [], "control": [CONTROL]}, "control: match.steps: arm 'mnli' has no stage; name one that has"),
        ({"mnli": [MNLI], "control": [CONTROL, MNLI]}, "make it the only stage of the arm"),
        ({"mnli": [CONTROL]}, "mnli: match.steps: arm 'mnli' matches an arm itself"),
        (
            {"mnli": [{**MNLI, "match": {"steps": "control"}}], "control": [CONTROL]},
            "arm 'control' matches an arm itself; name an arm that says its steps",
        ),
    ],
)
def test_what_cannot_be_matched_is_refused(arms: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(arms)


def test_pretraining_matches_no_arm(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pretraining comes before every arm and can match none"):
        recipe({"mnli": [MNLI]}, pretraining=[CONTROL])
    path = tmp_path / "a.yaml"
    arms = "  none: []\n  c:\n    - {tasks: [mlm_text], match: {steps: mnli}}"
    path.write_text(f"name: a\nmodel: {{}}\ndata: {{hub: true}}\narms:\n{arms}\ntargets: {{udpos: {{}}}}\n")
    with pytest.raises(UserError, match=r"a.yaml:4: arms: c: match.steps names no arm 'mnli'; known: c, none"):
        load_recipe(str(path))
