"""What a head reads of a micro-batch, and the examples that it is collated from.

Shape suffixes: T positions read, E examples of a task, W windows, N items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from xstilts.kinds.feature import Feature
from xstilts.kinds.features import Features

if TYPE_CHECKING:
    import torch

    from xstilts.text.tokenizer import Tokenizer


@dataclass
class HeadInput:
    """What one task's head reads and is judged by; everything may be empty."""

    positions_T: torch.Tensor
    """int64: rows of the encoder output. pair, choice: `<s>` of each segment; tagging: first subword of each
    labelled word; mlm: masked tokens; span: every token of every window. Stays on the host, where the last layer's
    work is cut by it."""
    targets: torch.Tensor
    """int64. pair, mlm, tagging: [T]; choice: [E]; span: [W, 2], start and end within the window."""
    weights: torch.Tensor
    """float32, of the same length as `targets`: what each one's loss counts in the loss of the step."""
    groups: tuple[int, ...]
    """choice: options per example [E]; span: tokens per window [W]; else empty. Stays on the host, where logits are
    cut by it: to ask a device would wait for it."""
    sizes: tuple[int, ...] = ()
    """Targets of each of the task's items, in their order: they add up to the length of `targets`. On the host."""

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> HeadInput:
        """The same with what a device computes with moved."""
        return HeadInput(self.positions_T, move(self.targets), move(self.weights), self.groups, self.sizes)


@dataclass(eq=False, slots=True)
class HeadArrays:
    """What becomes one task's `HeadInput`: its fields as arrays of the host."""

    positions: np.ndarray
    """int64, from the first token of the task's items on."""
    targets: np.ndarray
    """int64, flat."""
    weights: np.ndarray
    """float64."""
    sizes: np.ndarray
    """int64 [N]."""
    groups: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """int64."""


@dataclass(eq=False, slots=True)
class TaskItems:
    """Examples of one task in a micro-batch."""

    task: str
    features: Features
    weights: np.ndarray
    """float64 [N]: what the mean loss over each one's targets counts in the loss of the step."""
    turns: np.ndarray
    """int64 [N]: which draw of the task each comes from."""
    seed: int = 0
    """With its turn it seeds what is drawn anew each time that an example comes up: the tokens to mask."""

    @classmethod
    def of(cls, task: str, features: Sequence[Feature], weight: float = 0.0, turn: int = 0) -> TaskItems:
        """Examples that count alike, of one draw."""
        return cls(task, Features.of(features), np.full(len(features), weight), np.full(len(features), turn))


@dataclass(frozen=True)
class Collation:
    """What collating depends on besides the items."""

    tokenizer: Tokenizer
    mlm_probability: float = 0.15
    """Share of the tokens that masked language modelling predicts."""
