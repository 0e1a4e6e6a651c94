"""Running text; masked tokens are predicted (Devlin et al. 2019). Training only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xstilts.kinds.base import Example, HeadShape, Kind
from xstilts.kinds.feature import Encoding, Feature
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.kinds.transformers_head import TransformersHead

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import XLMRobertaConfig


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
        is_open_L = ~np.isin(tokens_L, list(tokenizer.special_ids))
        is_open_L[switched] = False
        bounds = np.append(features.tokens.offsets, len(tokens_L))
        num_open = np.diff(np.append(0, is_open_L.cumsum())[bounds])
        num_hidden = np.maximum(num_open > 0, np.rint(collation.mlm_probability * num_open)).astype(np.int64)

        drawn = [
            _draw(*of_item, len(tokenizer.ordinary_ids))
            for of_item in zip(items.seeds(), num_open.tolist(), num_hidden.tolist(), strict=True)
        ]
        chosen, lots, randoms = (np.concatenate(each) for each in zip(*drawn, strict=True))
        hidden = np.flatnonzero(is_open_L)[np.sort(chosen + (num_open.cumsum() - num_open).repeat(num_hidden))]
        others = np.where(lots < 0.9, tokenizer.ordinary_ids[randoms], tokens_L[hidden])
        tokens_L[hidden] = np.where(lots < 0.8, tokenizer.mask, others)

        item = np.arange(len(features))
        known = before_L[switched] >= 0
        positions = np.concatenate((switched[known], hidden))
        of_item = np.concatenate((item.repeat(features.positions.sizes)[known], item.repeat(num_hidden)))
        positions = positions[np.argsort(of_item, kind="stable")]
        sizes = np.bincount(of_item, minlength=len(features))
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


def _draw(seed: int, num_open: int, num_hidden: int, num_pieces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of an example's tokens are hidden; of each a number in [0, 1) that says how, and a random piece's."""
    generator = np.random.Generator(np.random.PCG64(seed))
    chosen = generator.choice(num_open, size=num_hidden, replace=False)
    return chosen, generator.random(num_hidden), generator.integers(num_pieces, size=num_hidden)


MLM = MaskedLM()
