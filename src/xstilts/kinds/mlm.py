"""Running text; masked tokens are predicted (Devlin et al. 2019). Training only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xstilts.core.seeds import splitmix64
from xstilts.kinds.base import Example, HeadShape, Kind
from xstilts.kinds.feature import NO_LABEL, Encoding, Feature
from xstilts.kinds.features import Ragged
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.kinds.transformers_head import TransformersHead

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import XLMRobertaConfig


_HALF, _THREE_QUARTERS, _QUARTER, _LOW_HALF = np.uint64(32), np.uint64(48), np.uint64(2**16 - 1), np.uint64(2**32 - 1)

_MASKED, _CHANGED = round(0.8 * 2**16), round(0.9 * 2**16)

MLM_HEAD_NAMES = {
    "lm_head.dense.weight": "dense.weight",
    "lm_head.dense.bias": "dense.bias",
    "lm_head.layer_norm.weight": "norm.weight",
    "lm_head.layer_norm.bias": "norm.bias",
    "lm_head.bias": "decoder.bias",
}
"""Tensors of a released masked-language-model head -> ours."""


@dataclass(frozen=True, slots=True)
class TextExample(Example):
    text: str


class MaskedLM(Kind[TextExample]):
    """Nothing that it predicts is scored."""

    name = "mlm"
    example_type = TextExample
    scored = False
    any_language = True
    ties_embeddings = True
    transformers_head = TransformersHead("XLMRobertaForMaskedLM", MLM_HEAD_NAMES)

    def encode(self, example: TextExample, encoding: Encoding) -> Feature:
        tokens, num_cut = encoding.join(example.text, None)
        return Feature(example.id, tokens, [len(tokens)], num_cut=num_cut)

    def texts(self, example: TextExample) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (example.text,), ()

    def collate(self, items: TaskItems, tokens_L: np.ndarray, collation: Collation) -> HeadArrays:
        """Of the chosen tokens 80 % become `<mask>`, 10 % a random piece, 10 % stay. Where words were switched their
        pieces are targets too, and not chosen again."""
        tokenizer, features = collation.tokenizer, items.features
        offsets = features.tokens.offsets
        before_L, is_open_L = tokens_L, tokenizer.is_ordinary.take(tokens_L)
        switched = np.empty(0, dtype=np.int64)
        if np.count_nonzero(features.sizes[2]):
            places, originals = features.positions_in_row(), features.targets.flat()
            before_L = tokens_L.copy()
            before_L[places], is_open_L[places] = originals, False
            switched = places[originals != NO_LABEL]

        num_open = np.add.reduceat(is_open_L, offsets, dtype=np.int64)
        num_hidden = np.maximum(num_open > 0, np.rint(collation.mlm_probability * num_open)).astype(np.int64)
        (open_T,) = is_open_L.nonzero()
        numbers_T = ((items.turns << 32) - offsets).repeat(num_open)
        numbers_T += open_T
        chosen, bits = _draw(splitmix64(items.seed, numbers_T), num_open, num_hidden)
        hidden = open_T.take(chosen)

        positions, sizes = hidden, num_hidden
        if len(switched):
            positions = np.sort(np.concatenate((hidden, switched)))
            sizes = np.diff(positions.searchsorted(offsets), append=len(positions))
        targets = before_L.take(positions)
        weights = (items.weights / np.maximum(1, sizes)).repeat(sizes)

        lots, ordinary = bits >> _HALF & _QUARTER, tokenizer.ordinary_ids
        pieces = ordinary.take(((bits & _LOW_HALF) * np.uint64(len(ordinary)) >> _HALF).view(np.int64))
        changed = np.where(lots < _CHANGED, pieces, tokens_L.take(hidden))
        tokens_L[hidden] = np.where(lots < _MASKED, tokenizer.mask, changed)
        return HeadArrays(positions, targets, weights, sizes)

    def layers(self, config: XLMRobertaConfig, num_classes: int, embeddings: nn.Embedding) -> dict[str, nn.Module]:
        from torch import nn

        dense = nn.Linear(config.hidden_size, config.hidden_size)
        norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        decoder = nn.Linear(config.hidden_size, config.vocab_size)
        decoder.weight = embeddings.weight
        return {"dense": dense, "norm": norm, "decoder": decoder}

    def num_parameters(self, shape: HeadShape, num_classes: int) -> int:
        return (shape.hidden_size + 3) * shape.hidden_size + shape.vocab_size

    def logits(self, layers: Mapping[str, nn.Module], hidden_TH: Tensor, given: HeadInput) -> Tensor:
        """[T, vocabulary], of masked tokens alone: dense -> gelu -> LayerNorm -> the tied embedding matrix, as
        RoBERTa's."""
        from torch.nn.functional import gelu

        return layers["decoder"](layers["norm"](gelu(layers["dense"](hidden_TH))))


def _draw(bits_T: np.ndarray, num_open: np.ndarray, num_hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the tokens that may be hidden are, and their bits; `num_open` and `num_hidden` count those of each item.

    A token's 64 bits are the output of SplitMix64 that its item's turn and its number in the item name, so that what
    becomes of an item depends on no other. Tokens with the lowest 16 bits are hidden, of equal ones the first: none is
    likelier to be than another by more than 2^-16. The next 16 say how, and 32 which of n pieces it becomes, as
    (bits x n) / 2^32: none is likelier than another by a share of more than n / 2^32.
    """
    # numpy sorts 16 bits, and the numbers of so few items, in a time that is linear in how many there are.
    order = (bits_T >> _THREE_QUARTERS).astype(np.uint16).argsort(kind="stable")
    item_T = np.arange(len(num_open), dtype=np.min_scalar_type(len(num_open))).repeat(num_open)
    by_item = Ragged(item_T.take(order).argsort(kind="stable"), num_open.cumsum() - num_open, num_hidden)
    chosen = order.take(by_item.flat())
    chosen.sort()
    return chosen, bits_T.take(chosen)


MLM = MaskedLM()
