"""A target task of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xstilts.config.base import Examples, LanguageKey, Once, Section, TaskName
from xstilts.config.trainable import Trainable
from xstilts.config.training import StageConfig, Training
from xstilts.core.errors import UserError
from xstilts.tasks import find_task
from xstilts.tasks.languages import ENGLISH


class Target(Section):
    """One target task: trained on in English, scored in every language."""

    languages: Annotated[list[LanguageKey], Field(min_length=1), Once] | None = Field(None, examples=[["sw", "yo"]])
    """Keys, codes or names of languages, or the name of a suite for the suite's (`xtreme`); None: all the task has."""
    train_on: Annotated[list[TaskName], Once] | None = Field(None, examples=[["siqa", "copa"]])
    """Tasks trained on before scoring, one stage each; the last one's head predicts, and is that of the default or of
    the task itself, where its release has training data. None: the data that train the task in English, nothing for
    retrieval. XTREME-R scores Tatoeba after `[squad_v1]` and XCOPA after `[siqa, copa]`."""
    head: Literal["own", "arm"] = "own"
    """`own`: a head is trained for the target. `arm`: nothing is trained for it; the head that the arm last trained for
    the task predicts, on the weights with which the arm ends, so that a task scored again after the one that followed
    it shows what was forgotten. Arms that have not trained the task have no score."""
    source_language: LanguageKey = Field(ENGLISH, examples=["sw"])
    """Language in which it is trained and its weights are selected; as in a stage."""
    training: Training = Training()
    """Overrides the recipe's `training`, field by field."""
    trainable: Trainable = Trainable()
    """Which parameters are trained."""
    split: str = Field("test", examples=["dev"])
    """The split that is scored: `test`, `dev`, or another that the task has (MNLI: `dev_mismatched`)."""
    max_examples: Examples | None = Field(None, examples=[500])
    """Score only the first so many examples of each language; None: all. In retrieval they are queries, and all
    candidates stay, also where each belongs to one query (Tatoeba, NTREX-128): among fewer the right one is easier to
    find. Pairs are not mined in a part of their collections (BUCC): an error."""

    @model_validator(mode="after")
    def _trains_no_second_head(self) -> Target:
        if self.head == "arm" and self.train_on is not None:
            raise ValueError("head: arm trains nothing, and train_on names tasks; drop one of them")
        return self

    def stages(self, target: str) -> list[StageConfig]:
        """The stages trained for the target of that name, one task each; the last one's head predicts it."""
        names = [] if self.head == "arm" else self._trained_tasks(target)
        if not names and (self.trainable != Trainable() or self.source_language != ENGLISH):
            option = "trainable" if self.trainable != Trainable() else "source_language"
            raise UserError(f"targets.{target}.{option}: nothing is trained for it; drop it")
        given = {"source_language": self.source_language, "training": self.training, "trainable": self.trainable}
        return [StageConfig(tasks=[name], **given) for name in names]

    def _trained_tasks(self, target: str) -> Sequence[str]:
        task = find_task(target)
        if self.train_on is not None:
            if task.trained_by is not None and not {*self.train_on[-1:]} & {task.trained_by, task.name}:
                raise UserError(f"targets.{target}.train_on must end with '{task.trained_by}', whose head predicts it")
            return self.train_on
        return [task.trained_by] if task.trained_by else []
