"""The question that a study answers, written down before it is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xstilts.config.base import LanguageKey, Once, Section, Unit
from xstilts.config.slope import Slope
from xstilts.core.errors import did_you_mean

_ENGLISH = "eng_Latn"


_Name = Annotated[str, Field(min_length=1, max_length=40)]


class Contrast(Section):
    """Two arms, of which the first is held against the second."""

    arm: str = Field(examples=["nine"])
    """The arm whose effect is asked for."""
    against: str = Field(examples=["none"])
    """The arm that it is compared with."""

    @model_validator(mode="after")
    def _two_arms(self) -> Contrast:
        if self.arm == self.against:
            raise ValueError(f"'{self.arm}' is held against itself; name two arms")
        return self


class Question(Section):
    """What the study is to answer, and from how large an effect on the answer matters."""

    ask: str = Field(min_length=1, examples=["Does NLI help Swahili?"])
    """The question in a sentence, shown before its answers."""
    analysis: Literal["mean", "beyond_english", "spread", "slope"] = Field("mean", examples=["spread"])
    """`mean`: the mean of the change, paired by seed and language. `beyond_english`: the same less the change in
    English. `spread`: the ratio of the arms' spreads over seeds, of scores around each language's median. `slope`: what
    is measured of tasks and languages predicts the change."""
    contrasts: dict[_Name, Contrast] = {}
    """Name -> the primary contrasts, all of them: Holm's procedure keeps false alarms in any of them at 5 %. Not of a
    `slope`."""
    slopes: dict[_Name, Slope] = {}
    """Name -> the primary slopes, all of them, of a `slope` only."""
    targets: Annotated[list[str], Field(min_length=1), Once] | None = Field(None, examples=[["udpos"]])
    """The recipe's targets that the answer is of; in `mean`, a language counts with the mean of those that have it.
    None: all."""
    languages: Annotated[list[LanguageKey], Field(min_length=1), Once] | None = Field(None, examples=[["sw", "yo"]])
    """The languages that the answer is of, as under `targets`. None: all but English."""
    estimand: Literal["these_languages", "languages_like_these", "tasks_like_these"] = Field(
        examples=["these_languages"]
    )
    """What the effect is an effect on: exactly these languages, with other seeds; or languages like these, of which
    they, or their families, are taken as drawn at random; or, of a slope on a measure of tasks, tasks like these. Of a
    spread only the first."""
    matters: Annotated[float, Field(gt=0), Unit("points; per unit of `measured`; a ratio for `spread`")] = Field(
        examples=[1.0]
    )
    """The smallest effect that matters: below it the answer is no. Of a spread it is above 1, of a slope in points per
    unit of what it is on."""

    @model_validator(mode="after")
    def _spread(self) -> Question:
        if self.analysis == "spread" and self.matters <= 1:
            raise ValueError(f"matters is {self.matters:g}, but of a spread it is a ratio; give one above 1, such as 2")
        if self.analysis == "spread" and self.estimand != "these_languages":
            raise ValueError(f"a spread is not estimated for {self.estimand}; set estimand to these_languages")
        return self

    @model_validator(mode="after")
    def _contrasts_or_slopes(self) -> Question:
        asked, other = ("slopes", "contrasts") if self.analysis == "slope" else ("contrasts", "slopes")
        if not getattr(self, asked) or getattr(self, other):
            raise ValueError(f"analysis: {self.analysis} is asked of {asked}; name them there, and no {other}")
        if self.estimand == "tasks_like_these" and not self.slopes:
            raise ValueError("tasks like these are the estimand of slopes alone; say these or like these languages")
        estimands = {slope.estimand for slope in self.slopes.values()}
        if estimands - {self.estimand}:
            raise ValueError(f"a slope says of {', '.join(sorted(estimands))}; set estimand to that")
        return self

    def cells(self, scored: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """Target -> the languages that the question is of, given those in which each target of the study is scored.

        Raises:
            ValueError: it names a target or a language that the study does not score, or nothing is left.
        """
        _known("targets", self.targets or (), scored)
        wanted = {target: scored[target] for target in self.targets or scored}
        every = list(dict.fromkeys(key for keys in wanted.values() for key in keys))
        _known("languages", self.languages or (), every)
        languages = self.languages or [key for key in every if key != _ENGLISH]
        found = {target: [key for key in languages if key in keys] for target, keys in wanted.items()}
        found = {target: keys for target, keys in found.items() if keys}
        if not found:
            raise ValueError("no target is scored outside English; name targets, or languages")
        return found

    def check(self, arms: Iterable[str], scored: Mapping[str, Sequence[str]]) -> None:
        """Whether a study with these arms, targets and their languages can answer it.

        Raises:
            ValueError: it cannot, with the place and the remedy.
        """
        known = list(arms)
        for name, contrast in self.contrasts.items():
            _known(f"contrasts.{name}.arm", [contrast.arm], known)
            _known(f"contrasts.{name}.against", [contrast.against], known)
        cells = self.cells(scored)
        for name, slope in self.slopes.items():
            _known(f"slopes.{name}.arms", slope.arms, known)
            _known(f"slopes.{name}.against", [slope.against], known)
            slope.check({key for keys in cells.values() for key in keys}, f"slopes.{name}")
        for target in cells if self.analysis == "beyond_english" else ():
            if _ENGLISH not in scored[target]:
                raise ValueError(f"targets: '{target}' is not scored in English; add {_ENGLISH} to its languages")
            if _ENGLISH in cells[target]:
                raise ValueError("languages: the change in English is taken off; leave it out")


def _known(place: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise ValueError(f"{place}: '{name}' is not in this study; {did_you_mean(name, known)}")
