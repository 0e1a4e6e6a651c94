"""Controls of equal length: a stage that takes as many steps as another arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from xstilts.config.base import Section
from xstilts.core.errors import did_you_mean

if TYPE_CHECKING:
    from xstilts.config.training import StageConfig


class Match(Section):
    """What a control has in common with an arm."""

    steps: str = Field(examples=["nli"])
    """Name of an arm: the stage takes as many optimizer steps as the intermediate stages of that arm together, in place
    of `training.steps` and `training.epochs`. That arm has at least one, matches no arm itself, and neither it nor the
    stage has `training.dev`, by which either could stop earlier; the stage is the only one of its arm."""


def check_matches(arms: Mapping[str, Sequence[StageConfig]]) -> None:
    """A ValueError where a stage matches an arm that it cannot match."""
    for arm, stages in arms.items():
        for other in (stage.match.steps for stage in stages if stage.match):
            if other not in arms:
                raise ValueError(f"{arm}: match.steps names no arm '{other}'; {did_you_mean(other, arms)}")
            if problem := _unmatchable(stages, other, arms[other]):
                raise ValueError(f"{arm}: match.steps: {problem}")


def _unmatchable(stages: Sequence[StageConfig], other: str, matched: Sequence[StageConfig]) -> str | None:
    """Why an arm cannot take as many steps as another, with the remedy."""
    if len(stages) > 1:
        return "how steps are divided among several stages is open; make it the only stage of the arm"
    if not matched:
        return f"arm '{other}' has no stage; name one that has"
    if any(stage.match for stage in matched):
        return f"arm '{other}' matches an arm itself; name an arm that says its steps"
    if any(stage.training.dev for stage in matched):
        return f"training.dev may stop arm '{other}' earlier; set it to null there"
    return None
