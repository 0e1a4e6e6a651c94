"""Running text; masked tokens are predicted (Devlin et al. 2019). Training only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xstilts.kinds.base import Example, Kind
from xstilts.kinds.feature import Encoding, Feature
from xstilts.kinds.head_input import Collation, HeadInput, HeadLists, Item
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

    def collate(self, item: Item, tokens: list[int], start: int, collation: Collation, to: HeadLists) -> None:
        """Of the chosen tokens 80 % become `<mask>`, 10 % a random piece, 10 % stay. Where words were switched their
        pieces are targets too, and not chosen again."""
        tokenizer = collation.tokenizer
        switched = set(item.feature.positions)
        restored = [pair for pair in zip(item.feature.positions, item.feature.targets, strict=True) if pair[1] >= 0]
        candidates = [i for i, token in enumerate(tokens) if token not in tokenizer.special_ids and i not in switched]
        count = max(1, round(collation.mlm_probability * len(candidates))) if candidates else 0
        weight = item.weight / max(1, count + len(restored))
        for position, original in restored:
            to.positions.append(start + position)
            to.targets.append(original)
            to.weights.append(weight)
        if not candidates:
            return
        generator = np.random.default_rng(item.seed)
        chosen = sorted(generator.choice(candidates, size=count, replace=False).tolist())
        lots = generator.random(count)
        randoms = generator.choice(tokenizer.ordinary_ids, size=count)
        for i, lot, random_id in zip(chosen, lots, randoms, strict=True):
            to.positions.append(start + i)
            to.targets.append(tokens[i])
            to.weights.append(weight)
            if lot < 0.8:
                tokens[i] = tokenizer.mask
            elif lot < 0.9:
                tokens[i] = int(random_id)

    def layers(self, config: XLMRobertaConfig, num_classes: int, embeddings: nn.Embedding) -> dict[str, nn.Module]:
        from torch import nn

        dense = nn.Linear(config.hidden_size, config.hidden_size)
        norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        decoder = nn.Linear(config.hidden_size, config.vocab_size)
        decoder.weight = embeddings.weight
        return {"dense": dense, "norm": norm, "decoder": decoder}

    def logits(self, layers: Mapping[str, nn.Module], hidden_TH: Tensor, given: HeadInput) -> Tensor:
        """[T, vocabulary], of masked tokens alone: dense -> gelu -> LayerNorm -> the tied embedding matrix, as
        RoBERTa's."""
        from torch.nn.functional import gelu

        return layers["decoder"](layers["norm"](gelu(layers["dense"](hidden_TH))))


MLM = MaskedLM()
