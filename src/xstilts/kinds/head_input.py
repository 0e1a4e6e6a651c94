"""What a head reads of a micro-batch, and the lists that it is collected in, example by example.

Shape suffixes: T positions read, E examples of a task, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xstilts.core.seeds import derive_seed
from xstilts.kinds.feature import Feature

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

    def to(self, device: torch.device) -> HeadInput:
        """The same on a device."""
        return HeadInput(
            self.positions_T,
            self.targets.to(device, non_blocking=True),
            self.weights.to(device, non_blocking=True),
            self.groups,
            self.sizes,
        )


@dataclass
class HeadLists:
    """Lists that become one task's `HeadInput`; `targets` are flat."""

    positions: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Item:
    """One example in a micro-batch."""

    task: str
    feature: Feature
    weight: float
    """What the mean loss over its targets counts in the loss of the step."""
    draw: tuple[object, ...] = ()
    """Names the time that the example comes up."""

    @property
    def seed(self) -> int:
        """Seeds what is drawn anew each time: the tokens to mask."""
        return derive_seed(*self.draw)


@dataclass(frozen=True)
class Collation:
    """What collating depends on besides the items."""

    tokenizer: Tokenizer
    mlm_probability: float = 0.15
    """Share of the tokens that masked language modelling predicts."""
