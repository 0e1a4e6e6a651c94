"""A packed micro-batch: one row of tokens without padding, and what each head reads from it.

Shape suffixes: L tokens of the row, S segments, E examples of a task, T targets of a task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from xstilts.data.encode import NO_LABEL, Feature
from xstilts.tasks import Kind
from xstilts.text.tokenizer import Tokenizer

FIRST_POSITION_OFFSET = 1
"""XLM-R counts positions from `padding_idx + 1`; any other start is silently worse."""


@dataclass
class HeadInput:
    """What one task's head reads and is judged by; everything may be empty."""

    positions_T: torch.Tensor
    """int64: rows of the encoder output. pair, choice: `<s>` of each segment; tagging: first subword of each
    labelled word; mlm: masked tokens; span: every token of every window."""
    targets: torch.Tensor
    """int64. pair, mlm, tagging: [T]; choice: [E]; span: [W, 2], start and end within the window."""
    weights: torch.Tensor
    """float32, of the same length as `targets`: what each one's loss counts in the loss of the step."""
    groups: tuple[int, ...]
    """choice: options per example [E]; span: tokens per window [W]; else empty. Stays on the host, where scores are
    cut by it: to ask a device would wait for it."""


@dataclass
class PackedBatch:
    """One micro-batch."""

    tokens_L: torch.Tensor
    """int64."""
    positions_L: torch.Tensor
    """int64 position ids, restarting in each segment."""
    lengths_S: tuple[int, ...]
    """Tokens of each segment; their sum is L."""
    heads: dict[str, HeadInput]
    """Every task of the stage, in its order."""

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on a device."""
        heads = {
            name: HeadInput(
                head.positions_T.to(device, non_blocking=True),
                head.targets.to(device, non_blocking=True),
                head.weights.to(device, non_blocking=True),
                head.groups,
            )
            for name, head in self.heads.items()
        }
        return PackedBatch(
            self.tokens_L.to(device, non_blocking=True),
            self.positions_L.to(device, non_blocking=True),
            self.lengths_S,
            heads,
        )


@dataclass(frozen=True)
class Item:
    """One example in a micro-batch."""

    task: str
    feature: Feature
    weight: float
    """What the mean loss over its targets counts in the loss of the step."""
    masking: np.random.Generator | None = None
    """Masked language modelling: draws the tokens to predict."""


def collate(
    items: Sequence[Item], kinds: Mapping[str, Kind], tokenizer: Tokenizer, mlm_probability: float = 0.15
) -> PackedBatch:
    """Packs items into one row; without items, `<s></s>` that no head reads: an idle rank runs what others run."""
    tokens: list[int] = []
    lengths: list[int] = []
    collected: dict[str, _Collected] = {name: _Collected() for name in kinds}
    for item in items:
        base = len(tokens)
        ids = list(item.feature.tokens)
        _ADD[kinds[item.task]](collected[item.task], item, base, ids, tokenizer, mlm_probability)
        tokens += ids
        lengths += item.feature.lengths
    if not items:
        tokens, lengths = [tokenizer.bos, tokenizer.eos], [2]
    first = tokenizer.pad + FIRST_POSITION_OFFSET
    position_ids = np.concatenate([np.arange(first, first + n) for n in lengths])
    heads = {name: collected[name].tensors(kind) for name, kind in kinds.items()}
    return PackedBatch(torch.tensor(tokens), torch.from_numpy(position_ids), tuple(lengths), heads)


class _Collected:
    """Lists that become one task's `HeadInput`."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.targets: list[int] = []
        self.weights: list[float] = []
        self.groups: list[int] = []

    def tensors(self, kind: Kind) -> HeadInput:
        targets = torch.tensor(self.targets, dtype=torch.int64)
        return HeadInput(
            torch.tensor(self.positions, dtype=torch.int64),
            targets.reshape(-1, 2) if kind is Kind.SPAN else targets,
            torch.tensor(self.weights, dtype=torch.float32),
            tuple(self.groups),
        )


def _add_pair(to: _Collected, item: Item, base: int, ids: list[int], tokenizer: Tokenizer, probability: float) -> None:
    to.positions.append(base)
    to.targets += item.feature.targets or [NO_LABEL]
    to.weights.append(item.weight)


def _add_choice(
    to: _Collected, item: Item, base: int, ids: list[int], tokenizer: Tokenizer, probability: float
) -> None:
    to.positions += [base + position for position in item.feature.positions]
    to.targets += item.feature.targets
    to.weights.append(item.weight)
    to.groups.append(len(item.feature.positions))


def _add_span(to: _Collected, item: Item, base: int, ids: list[int], tokenizer: Tokenizer, probability: float) -> None:
    to.positions += range(base, base + len(ids))
    to.targets += item.feature.targets
    to.weights += [item.weight / item.feature.num_targets] * len(item.feature.lengths)
    to.groups += item.feature.lengths


def _add_tagging(
    to: _Collected, item: Item, base: int, ids: list[int], tokenizer: Tokenizer, probability: float
) -> None:
    to.positions += [base + position for position in item.feature.positions]
    to.targets += item.feature.targets
    each = item.weight / max(1, item.feature.num_targets)
    to.weights += [0.0 if target == NO_LABEL else each for target in item.feature.targets]


def _add_mlm(to: _Collected, item: Item, base: int, ids: list[int], tokenizer: Tokenizer, probability: float) -> None:
    """Devlin et al. (2019): of the chosen tokens 80 % become `<mask>`, 10 % a random piece, 10 % stay."""
    assert item.masking is not None
    candidates = [i for i, token in enumerate(ids) if token not in tokenizer.special_ids]
    if not candidates:
        return
    count = max(1, round(probability * len(candidates)))
    chosen = sorted(item.masking.choice(candidates, size=count, replace=False).tolist())
    lots = item.masking.random(count)
    randoms = item.masking.choice(tokenizer.ordinary_ids, size=count)
    for i, lot, random_id in zip(chosen, lots, randoms, strict=True):
        to.positions.append(base + i)
        to.targets.append(ids[i])
        to.weights.append(item.weight / count)
        if lot < 0.8:
            ids[i] = tokenizer.mask
        elif lot < 0.9:
            ids[i] = int(random_id)


_ADD = {
    Kind.PAIR: _add_pair,
    Kind.CHOICE: _add_choice,
    Kind.SPAN: _add_span,
    Kind.TAGGING: _add_tagging,
    Kind.MLM: _add_mlm,
    Kind.RETRIEVAL: _add_pair,
}
