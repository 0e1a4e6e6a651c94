"""What a stage is trained from, and where it leaves what it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from xstilts.config.selection import Snapshots
from xstilts.config.training import Training
from xstilts.core.errors import UserError
from xstilts.data.loader import StepLoader
from xstilts.data.mixing import epoch_size
from xstilts.data.store import FeatureSet
from xstilts.data.vocabulary import occurring
from xstilts.distributed import dist
from xstilts.model.multitask import MultiTaskModel

if TYPE_CHECKING:  # loads DeepSpeed, which planning need not wait for
    from xstilts.training.engine import Engine

DevScores = Callable[["Engine"], Mapping[str, float]]
"""English dev score of each task of the stage, the same on every rank."""


@dataclass(frozen=True)
class Job:
    """A stage to be trained."""

    name: str
    """What messages call it."""
    seed: int
    """Names its dropout."""
    model: MultiTaskModel
    """At its parent's weights."""
    loader: StepLoader
    dev_scores: DevScores
    dev_features: Sequence[tuple[FeatureSet, int]] = ()
    """What `dev_scores` reads, and how many of the first examples of it."""
    is_lost: Callable[[], bool] = lambda: False
    """Whether this rank knows that another launch has taken the stage over; asked at every step."""
    snapshots: Snapshots | None = None

    @property
    def training(self) -> Training:
        return self.loader.training

    @property
    def num_steps(self) -> int:
        return self.training.count_steps(epoch_size(self.loader.plan.sizes, self.loader.plan.mixing))

    def occurring_pieces(self) -> torch.Tensor | None:
        """The vocabulary ids that the stage reads, int64, ascending; None where a head predicts any of them, or where
        the embeddings are frozen."""
        embeddings = self.model.encoder.get_input_embeddings().weight
        if not embeddings.requires_grad or any(parameter is embeddings for parameter in self.model.heads.parameters()):
            return None
        tokenizer = self.loader.tokenizer
        num_pieces = self.model.encoder.config.vocab_size
        found = np.zeros(num_pieces, dtype=bool)
        found[list(tokenizer.special_ids)] = True
        for features in self.loader.features.values():
            found |= occurring(features, num_pieces)
        for features, num_examples in self.dev_features:
            found |= occurring(features, num_pieces, num_examples)
        return torch.from_numpy(found.nonzero()[0])

    def fingerprint(self) -> str:
        """The plan's and its data's, checked to be the same on every rank; a collective.

        Raises:
            UserError: ranks hold different data.
        """
        features = self.loader.features.values()
        fingerprint = "-".join([self.loader.plan.fingerprint(self.num_steps), *(each.fingerprint for each in features)])
        for other, theirs in enumerate(dist.gather(fingerprint)):
            if theirs != fingerprint:
                raise UserError(
                    f"ranks {dist.rank()} and {other} hold different data; give every host the same files and cache"
                )
        return fingerprint


@dataclass(frozen=True)
class Folders:
    """Where a stage leaves what it makes."""

    stage: Path
    tensorboard: Path

    @property
    def checkpoints(self) -> Path:
        return self.stage / "checkpoints"

    @property
    def weights(self) -> Path:
        return self.stage / "weights.safetensors"

    @property
    def visits(self) -> Path:
        """What the losses of each item were."""
        return self.stage / "visits"

    @property
    def steps(self) -> Path:
        """One JSON object a line: steps, evaluations, events."""
        return self.stage / "steps.jsonl"
