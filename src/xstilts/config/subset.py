"""A part of a task's training examples, chosen by how hard they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xstilts.config.base import Section, Share


class Subset(Section):
    """The examples of its one task that a stage trains on."""

    part: Literal["easiest", "middle", "hardest", "random"] = Field(examples=["hardest"])
    """Which part of the ranking; `random` is as many examples, others for each seed."""
    fraction: Annotated[Share, Field(gt=0)] = Field(examples=[0.3])
    """Of the examples, rounded down; of those of each label where labels are stratified. At most a third, and easiest,
    middle and hardest have no example in common."""
    ranking: Path | None = Field(None, examples=["difficulty/mnli.jsonl"])
    """File below the recipe's folder that measures every training example, one JSON object a line: `id` and
    `hardness`, larger for harder; its order, not its path, is in the stage's id. `random` reads none."""
    stratify: Literal["label"] | None = Field(None, examples=["label"])
    """`label`: the same share of each label, or of the examples with each option right. Not for tags and spans."""

    @model_validator(mode="after")
    def _ranked_where_it_matters(self) -> Subset:
        if (self.part == "random") != (self.ranking is None):
            reads = "needs no ranking; drop it" if self.ranking else "needs a ranking; name its file"
            raise ValueError(f"subset.part: {self.part} {reads}")
        return self
