"""What is measured of tasks, or of tasks and languages, and held against what the tasks change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from xstilts.config.base import LanguageKey, Once, Section
from xstilts.core.errors import did_you_mean


class Slope(Section):
    """Arms whose changes are regressed on a measure, taken before the run or without its target scores."""

    arms: Annotated[list[str], Field(min_length=2), Once] = Field(examples=[["mnli", "squad_v1"]])
    """The arms of single intermediate tasks, each a point or a row of points."""
    against: str = Field(examples=["none"])
    """The arm that each of them is compared with."""
    of: str = Field(min_length=1, max_length=60, examples=["cosine of mean embeddings"])
    """What is measured, as the answer calls it."""
    measured: dict[str, FiniteFloat] | dict[str, dict[LanguageKey, FiniteFloat]] = Field(
        examples=[{"mnli": {"swh_Latn": 0.31, "yor_Latn": 0.22}, "squad_v1": {"swh_Latn": 0.28, "yor_Latn": 0.25}}]
    )
    """Arm -> the measure of its task (its difficulty, say): tasks are the unit, and it takes five. Or arm -> language
    -> the measure of both (their similarity): task and language effects are taken out, so that the loss from English
    has the slope of the change, and languages are permuted within families. Or a CSV file below the recipe's folder
    with the columns `arm`, `value` and, in the second case, `language`, whose numbers take its place."""

    @property
    def by_language(self) -> dict[str, dict[str, float]] | None:
        """Arm -> language -> measure; None where it is one of arms alone."""
        found = {arm: value for arm, value in self.measured.items() if isinstance(value, dict)}
        return found or None

    @property
    def by_arm(self) -> dict[str, float]:
        """Arm -> measure; nothing where it is one of languages too."""
        return {arm: value for arm, value in self.measured.items() if not isinstance(value, dict)}

    @property
    def estimand(self) -> Literal["languages_like_these", "tasks_like_these"]:
        """What its answer is an answer on."""
        return "languages_like_these" if self.by_language else "tasks_like_these"

    @model_validator(mode="after")
    def _measured(self) -> Slope:
        if self.against in self.arms:
            raise ValueError(f"'{self.against}' is held against itself; leave it out of arms")
        lacking = next((arm for arm in self.arms if arm not in self.measured), None)
        if lacking is not None:
            raise ValueError(f"measured: arm '{lacking}' is not measured; {did_you_mean(lacking, self.measured)}")
        return self

    def check(self, languages: set[str], place: str) -> None:
        """Whether some language of the question is measured with every arm.

        Raises:
            ValueError: none is.
        """
        measured = [set(values) for values in (self.by_language or {}).values()]
        if measured and not languages.intersection(*measured):
            raise ValueError(f"{place}.measured: with every arm no language of the question; name its languages")
