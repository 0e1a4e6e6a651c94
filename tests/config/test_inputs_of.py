"""Masked language modelling on the inputs of a labelled task: what makes no sense is refused."""

from __future__ import annotations

from typing import Any

import pytest

from xstilts.config.training import StageConfig


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"tasks": ["mnli"], "inputs_of": "mnli"}, "name exactly one in the stage"),
        ({"tasks": ["mlm_text", "mlm_ntrex"], "inputs_of": "mnli"}, "name exactly one in the stage"),
        ({"tasks": ["mlm_text"], "inputs_of": "mlm_ntrex"}, "'mlm_ntrex' has no labelled training inputs"),
        ({"tasks": ["mlm_text"], "inputs_of": "tatoeba"}, "'tatoeba' has no labelled training inputs"),
        ({"tasks": ["mlm_text"], "inputs_of": "mnli", "languages": ["swh_Latn"]}, "reads no text files"),
        (
            {"tasks": ["mlm_text"], "inputs_of": "mnli", "code_switch": {"dictionary": "a.txt", "rate": 0.5}},
            "reads no text files",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(stage: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StageConfig.model_validate(stage)
