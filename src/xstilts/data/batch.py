"""A packed micro-batch: one row of tokens without padding, and what each head reads from it.

Shape suffixes: L tokens of the row, S segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch

from xstilts.kinds import Kind
from xstilts.kinds.head_input import Collation, HeadInput, HeadLists, Item
from xstilts.text.tokenizer import Tokenizer

FIRST_POSITION_OFFSET = 1
"""XLM-R counts positions from `padding_idx + 1`; any other start is silently worse."""


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

    def to(self, device: torch.device) -> PackedBatch:
        """The same batch on a device."""
        return PackedBatch(
            self.tokens_L.to(device, non_blocking=True),
            self.positions_L.to(device, non_blocking=True),
            self.lengths_S,
            {name: head.to(device) for name, head in self.heads.items()},
            self.weights_L.to(device, non_blocking=True),
        )


def collate(items: Sequence[Item], kinds: Mapping[str, Kind[Any]], collation: Collation) -> PackedBatch:
    """Packs items into one row; without items, `<s></s>` that no head reads: an idle rank runs what others run."""
    tokens: list[int] = []
    lengths: list[int] = []
    weights: list[float] = []
    sizes: list[int] = []
    collected = {name: HeadLists() for name in kinds}
    for item in items:
        own = list(item.feature.tokens)
        lists = collected[item.task]
        num_before = len(lists.weights)
        kinds[item.task].collate(item, own, len(tokens), collation, lists)
        lists.sizes.append(len(lists.weights) - num_before)
        tokens += own
        lengths += item.feature.lengths
        weights.append(item.weight / len(own))
        sizes.append(len(own))
    if not items:
        tokens, lengths, weights, sizes = [collation.tokenizer.bos, collation.tokenizer.eos], [2], [0.0], [2]
    heads = {name: _tensors(collected[name], kind.targets_shape) for name, kind in kinds.items()}
    return _packed(tokens, lengths, heads, np.repeat(np.array(weights, dtype=np.float32), sizes), collation.tokenizer)


def pack(segments: Sequence[Sequence[int]], tokenizer: Tokenizer) -> PackedBatch:
    """Packs the tokens of at least one segment into one row that no head reads."""
    tokens = list(chain.from_iterable(segments))
    return _packed(tokens, list(map(len, segments)), {}, np.zeros(len(tokens), np.float32), tokenizer)


def _packed(
    tokens: list[int], lengths: Sequence[int], heads: dict[str, HeadInput], weights_L: np.ndarray, tokenizer: Tokenizer
) -> PackedBatch:
    starts_S = np.cumsum([0, *lengths[:-1]]) - (tokenizer.pad + FIRST_POSITION_OFFSET)
    position_ids = np.arange(len(tokens)) - np.repeat(starts_S, lengths)
    return PackedBatch(
        _whole(tokens), torch.from_numpy(position_ids), tuple(lengths), heads, torch.from_numpy(weights_L)
    )


def _tensors(lists: HeadLists, targets_shape: tuple[int, ...]) -> HeadInput:
    return HeadInput(
        _whole(lists.positions),
        _whole(lists.targets).reshape(-1, *targets_shape),
        torch.tensor(lists.weights, dtype=torch.float32),
        tuple(lists.groups),
        tuple(lists.sizes),
    )


def _whole(numbers: list[int]) -> torch.Tensor:
    """int64. By way of numpy, which reads a list several times faster."""
    return torch.from_numpy(np.array(numbers, dtype=np.int64))
