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
        features = items.features
        switched, originals = features.positions_in_row(), features.targets.flat()
        before_L = tokens_L.copy()
        before_L[switched] = originals
        is_open_L = ~np.isin(tokens_L, list(collation.tokenizer.special_ids))
        is_open_L[switched] = False
        restored = np.split(switched, features.positions.offsets[1:])
        positions = []
        for seed, first, num_tokens, own in zip(
            items.seeds(), features.tokens.offsets, features.tokens.sizes, restored, strict=True
        ):
            candidates = first + np.flatnonzero(is_open_L[first : first + num_tokens])
            hidden = _hide(tokens_L, candidates, np.random.default_rng(seed), collation)
            positions.append(np.concatenate((own[before_L[own] >= 0], hidden)))
        sizes = np.array([len(own) for own in positions])
        weights = np.repeat(items.weights / np.maximum(1, sizes), sizes)
        positions_T = np.concatenate(positions)
        return HeadArrays(positions_T, before_L[positions_T], weights, sizes)

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


def _hide(
    tokens_L: np.ndarray, candidates: np.ndarray, generator: np.random.Generator, collation: Collation
) -> np.ndarray:
    """Chooses some of the candidates, at least one of any, and changes the tokens there; the chosen, in order."""
    if not len(candidates):
        return candidates
    count = max(1, round(collation.mlm_probability * len(candidates)))
    chosen = np.sort(generator.choice(candidates, size=count, replace=False))
    lots = generator.random(count)
    others = np.where(lots < 0.9, generator.choice(collation.tokenizer.ordinary_ids, size=count), tokens_L[chosen])
    tokens_L[chosen] = np.where(lots < 0.8, collation.tokenizer.mask, others)
    return chosen


MLM = MaskedLM()
