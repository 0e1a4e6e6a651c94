"""Running text; masked tokens are predicted (Devlin et al. 2019). Training only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xstilts.core.seeds import outputs
from xstilts.kinds.base import Example, HeadShape, Kind
from xstilts.kinds.feature import NO_LABEL, Encoding, Feature
from xstilts.kinds.features import Ragged
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.kinds.transformers_head import TransformersHead

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import XLMRobertaConfig


_HALF, _LOW_HALF = np.uint64(32), np.uint64(2**32 - 1)

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
        switched = features.positions_in_row()
        before_L = tokens_L.copy()
        before_L[switched] = features.targets.flat()
        is_open_L = tokenizer.is_ordinary[tokens_L]
        is_open_L[switched] = False

        hidden, bits = _draw(items, np.flatnonzero(is_open_L), collation.mlm_probability)
        lots = bits >> _HALF
        pieces = ((bits & _LOW_HALF) * np.uint64(len(tokenizer.ordinary_ids))) >> _HALF
        others = np.where(lots < 0.9 * 2**32, tokenizer.ordinary_ids[pieces], tokens_L[hidden])
        tokens_L[hidden] = np.where(lots < 0.8 * 2**32, tokenizer.mask, others)

        is_target_L = np.zeros(len(tokens_L), dtype=bool)
        is_target_L[hidden] = True
        is_target_L[switched] = before_L[switched] != NO_LABEL
        positions = np.flatnonzero(is_target_L)
        sizes = np.bincount(features.tokens.of_run()[positions], minlength=len(features))
        weights = (items.weights / np.maximum(1, sizes)).repeat(sizes)
        return HeadArrays(positions, before_L[positions], weights, sizes)

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


def _draw(items: TaskItems, open_T: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Which of the tokens that may be hidden are, the same share of each item's and at least one; and of each 64
    random bits, uint64. What becomes of an item follows from its own seed and tokens.

    A token has two outputs of its item's sequence, those of twice its number in the item: the tokens with the lowest
    44 bits of the first are hidden, of equal ones the first (of 512 tokens two are equal once in 10^8 items). Half of
    the second picks one of n pieces, as (half x n) / 2^32: none is likelier than another by a share of more than
    n / 2^32.
    """
    tokens = items.features.tokens
    item_T = tokens.of_run()[open_T]
    numbers_T = 2 * (open_T - tokens.offsets[item_T])
    seeds_T = items.seeds()[item_T]
    num_open = np.bincount(item_T, minlength=len(items.features))
    num_hidden = np.maximum(num_open > 0, np.rint(share * num_open)).astype(np.int64)
    assert len(num_open) < 1 << 20, "numbers of items have 20 bits"
    keys_T = (item_T.astype(np.uint64) << np.uint64(44)) | (outputs(seeds_T, numbers_T) >> np.uint64(20))
    chosen = Ragged(np.argsort(keys_T, kind="stable"), num_open.cumsum() - num_open, num_hidden).flat()
    return open_T[chosen], outputs(seeds_T[chosen], numbers_T[chosen] + 1)


MLM = MaskedLM()
