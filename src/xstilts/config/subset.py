"""A part of a task's training examples, chosen by how hard they are.

How hard single examples are is measured over the visits of a reference stage. Code length is no such measure: what an
example costs when it is first drawn says more about when that was (`measures.difficulty.code_length`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xstilts.config.base import Section, Share, Unit


class Reference(Section):
    """A stage over all of the task's examples, whose visits measure each of them: behind `pretraining` where there is
    any, with gold labels and the stage's `training` but for its length. Arms and seeds share it."""

    seed: int = Field(examples=[1000])
    """Of its order, heads and dropout, and of `pretraining` before it: none of the study's, or one of these would be
    measured by itself."""
    epochs: Annotated[float, Field(ge=3), Unit("passes")] = 3
    """Passes over the examples: three visits of each, at least, say how its probability moves."""
    lr: Annotated[float, Field(gt=0), Unit("per step")] | None = Field(None, examples=[1e-5])
    """Learning rate; None: the stage's. A stage that sweeps its own must say it, or each value would have another
    ranking."""
    digest: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", examples=["a64" + 61 * "0"])
    """SHA-256 of the ranking, as `stage.json` says it, once it is known: a machine that ranks otherwise ends with an
    error before it trains on another part."""


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
    reference: Reference | None = Field(None, examples=[{"seed": 1000}])
    """Instead of a file: a stage that is trained first, and ranks the examples once for the run directory. Its id and
    the measure are in the stage's id. `random` needs none."""
    by: Literal["confidence", "nll", "variability", "v_information"] = "confidence"
    """What ranks by the reference stage's visits: `confidence`, the mean of p(gold), lower for harder (Swayamdipta et
    al. 2020): bounded, so that no single bad visit decides, and a mean over an example's targets, so that long answers
    and sentences are not harder by their length. `nll`: mean loss of a target. `variability`: deviation of p(gold),
    highest for ambiguous examples. `v_information`: bits per target that the input saves (Ethayarajh et al. 2022, but
    on training data)."""
    stratify: Literal["label"] | None = Field(None, examples=["label"])
    """`label`: the same share of each label, or of the examples with each option right. Not for tags and spans."""

    @model_validator(mode="after")
    def _ranked_where_it_matters(self) -> Subset:
        if self.ranking is not None and self.reference is not None:
            raise ValueError("subset.ranking and subset.reference are two rankings; keep one")
        ranked = self.ranking is not None or self.reference is not None
        if (self.part == "random") == ranked:
            reads = "needs no ranking; drop it" if ranked else "needs a ranking; name its file, or a reference stage"
            raise ValueError(f"subset.part: {self.part} {reads}")
        if self.by != "confidence" and self.reference is None:
            raise ValueError("subset.by is read with subset.reference alone; drop it")
        return self
