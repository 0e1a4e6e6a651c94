"""Which parameters a stage trains."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from xstilts.config.base import Positive, Section, Weight


class Trainable(Section):
    """What is trained besides the heads, which always are; of a masked-language-model head all but the matrix that it
    shares with a frozen encoder."""

    encoder: Literal["all", "none"] = "all"
    """`all`: the whole encoder, adapters of earlier stages with it. `none`: it stays to the bit as the stage before
    left it, those adapters with it."""
    bottleneck: Positive | None = Field(None, examples=[48])
    """Width of new adapters in a frozen encoder, one in each layer behind its feed-forward block (Pfeiffer et al. 2020,
    MAD-X), behind those of earlier stages: a task's on a language's. They are part of the encoder from then on."""
    orthogonal: Weight = Field(0.0, examples=[0.1])
    """Added to the loss so many times: the squared cosine between what a new adapter adds and its layer's output
    without it, mean over tokens and layers (after Vidoni et al. 2020: to add what the encoder lacks)."""

    @model_validator(mode="after")
    def _adapters_of_a_frozen_encoder(self) -> Trainable:
        if self.bottleneck is not None and self.encoder == "all":
            raise ValueError("trainable.bottleneck is of adapters in a frozen encoder; set trainable.encoder: none")
        if self.orthogonal and self.bottleneck is None:
            raise ValueError("trainable.orthogonal is of adapters, and there are none; give trainable.bottleneck")
        return self
