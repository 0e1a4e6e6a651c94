"""A packed micro-batch: one row of tokens without padding, and what each head reads from it.

Shape suffixes: L tokens of the row, S segments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from xstilts.kinds import Kind
from xstilts.kinds.features import Ragged
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.text.tokenizer import Tokenizer

FIRST_POSITION_OFFSET = 1
"""XLM-R counts positions from `padding_idx + 1`; any other start is silently worse."""


class Layout(Protocol):
    """What a model makes of a batch's lengths."""

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Layout:
        """The same with each of its tensors moved."""


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
    weights_L: torch.Tensor
    """float32: a sum over tokens with these weights is a mean over each example's tokens, the example counting as in
    the loss of the step."""
    layout: Layout | None = None
    """What a model has made of it for itself beforehand; None: it does so when it gets it."""

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on a device; from pinned memory nobody waits for it."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> PackedBatch:
        """The same batch in memory of the host from which a GPU copies by itself."""
        return self._moved(torch.Tensor.pin_memory)

    def _moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> PackedBatch:
        return PackedBatch(
            move(self.tokens_L),
            move(self.positions_L),
            self.lengths_S,
            {name: head.moved(move) for name, head in self.heads.items()},
            move(self.weights_L),
            None if self.layout is None else self.layout.moved(move),
        )


def collate(groups: Sequence[TaskItems], kinds: Mapping[str, Kind[Any]], collation: Collation) -> PackedBatch:
    """Packs examples into one row, group by group; without any, `<s></s>` that no head reads: an idle rank runs what
    others run."""
    found: dict[str, list[HeadArrays]] = {name: [] for name in kinds}
    tokens, lengths, weights = [], [], []
    start = 0
    for items in groups:
        own = items.features.tokens.flat()
        arrays = kinds[items.task].collate(items, own, collation)
        arrays.positions = arrays.positions + start
        found[items.task].append(arrays)
        start += len(own)
        sizes = items.features.tokens.sizes
        tokens.append(own)
        lengths.append(items.features.lengths.flat())
        weights.append((items.weights / sizes).astype(np.float32).repeat(sizes))
    if not groups:
        filler = np.array([collation.tokenizer.bos, collation.tokenizer.eos])
        tokens, lengths, weights = [filler], [np.array([2])], [np.zeros(2, dtype=np.float32)]
    heads = {name: _head_input(found[name], kind.targets_shape) for name, kind in kinds.items()}
    return _packed(_joined(tokens), _joined(lengths), heads, _joined(weights), collation.tokenizer)


def pack(segments: Sequence[Sequence[int]], tokenizer: Tokenizer) -> PackedBatch:
    """Packs the tokens of at least one segment into one row that no head reads."""
    given = Ragged.of(segments)
    tokens = given.flat()
    return _packed(tokens, given.sizes, {}, np.zeros(len(tokens), np.float32), tokenizer)


def _packed(
    tokens_L: np.ndarray,
    lengths_S: np.ndarray,
    heads: dict[str, HeadInput],
    weights_L: np.ndarray,
    tokenizer: Tokenizer,
) -> PackedBatch:
    starts_S = lengths_S.cumsum() - lengths_S - (tokenizer.pad + FIRST_POSITION_OFFSET)
    positions_L = np.arange(len(tokens_L))
    positions_L -= starts_S.repeat(lengths_S)
    return PackedBatch(
        torch.from_numpy(tokens_L),
        torch.from_numpy(positions_L),
        tuple(lengths_S.tolist()),
        heads,
        torch.from_numpy(weights_L),
    )


def _head_input(found: Sequence[HeadArrays], targets_shape: tuple[int, ...]) -> HeadInput:
    if not found:
        nothing = np.empty(0, dtype=np.int64)
        found = [HeadArrays(nothing, nothing, nothing, nothing)]
    return HeadInput(
        torch.from_numpy(_joined([each.positions for each in found])),
        torch.from_numpy(_joined([each.targets for each in found])).reshape(-1, *targets_shape),
        torch.from_numpy(_joined([each.weights for each in found]).astype(np.float32)),
        tuple(_joined([each.groups for each in found]).tolist()),
        tuple(_joined([each.sizes for each in found]).tolist()),
    )


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
