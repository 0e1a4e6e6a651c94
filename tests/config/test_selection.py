"""Rules of selection that make no sense for a recipe."""

from __future__ import annotations

from typing import Any

import pytest

from xstilts.config.recipe import Recipe

DEV = {"training": {"dev": {"every": 10}}}


def made(selection: dict[str, Any], **targets: Any) -> Recipe:
    values = {"name": "tiny", "data": {"hub": True}, "model": {}, "arms": {"none": []}}
    return Recipe.model_validate({**values, "targets": targets, "selection": {"every": 10, **selection}})


@pytest.mark.parametrize(
    ("selection", "targets", "told"),
    [
        ({"also": ["average"]}, {"tatoeba": {}}, "no target is trained, so that there is nothing to select; drop it"),
        ({"also": ["last"]}, {"udpos": {}}, "also: last is what is scored where no target has training.dev"),
        (
            {"also": ["oracle"]},
            {"udpos": {**DEV, "split": "dev"}},
            "also: oracle would select on the data that targets.udpos.split scores; drop it or score another split",
        ),
        ({"also": []}, {"udpos": DEV}, "at least 1 item"),
        ({"also": ["best"]}, {"udpos": DEV}, "'last', 'average' or 'oracle'"),
    ],
)
def test_what_makes_no_sense_is_refused(selection: dict[str, Any], targets: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match="selection") as error:
        made(selection, **targets)
    assert told in str(error.value)


def test_a_mixed_recipe_is_taken() -> None:
    recipe = made({"also": ["last", "average", "oracle"]}, udpos=DEV, tatoeba={}, xnli={})
    assert recipe.selection is not None and recipe.selection.snapshots.keep == 5
