"""One or two texts, one label."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xstilts.kinds.base import Example, HeadShape, Kind, most_frequent
from xstilts.kinds.feature import NO_LABEL, Encoding, Feature
from xstilts.kinds.files import Items, as_lines, in_order, note_unknown, read_labels
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.kinds.relabelling import Relabelling
from xstilts.kinds.transformers_head import TransformersHead
from xstilts.measures.null_models import pair_null_bits

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import XLMRobertaConfig


@dataclass(frozen=True, slots=True)
class PairExample(Example):
    text_a: str
    text_b: str | None
    label: str | None
    """None where the release withholds it (test sets)."""


class Pair(Kind[PairExample]):
    """Predictions and references are labels; files hold one per line."""

    name = "pair"
    example_type = PairExample
    relabels = True
    one_label = True
    suffix = "tsv"
    transformers_head = TransformersHead(
        "XLMRobertaForSequenceClassification",
        {
            "classifier.dense.weight": "dense.weight",
            "classifier.dense.bias": "dense.bias",
            "classifier.out_proj.weight": "out.weight",
            "classifier.out_proj.bias": "out.bias",
        },
    )

    def encode(self, example: PairExample, encoding: Encoding) -> Feature:
        tokens, num_cut = encoding.join(example.text_a, example.text_b)
        target = NO_LABEL if example.label is None else encoding.label_index[example.label]
        return Feature(example.id, tokens, [len(tokens)], [0], [target], num_cut=num_cut)

    def texts(self, example: PairExample) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (example.text_a, example.text_b or ""), ()

    def classes(self, example: PairExample) -> Iterator[str]:
        yield example.label or "unlabelled"

    def collate(self, items: TaskItems, tokens_L: np.ndarray, collation: Collation) -> HeadArrays:
        features = items.features
        one_each = np.ones(len(features), dtype=np.int64)
        return HeadArrays(features.tokens.offsets, features.targets.flat(), items.weights, one_each)

    def relabel(
        self, feature: Feature, donated: Sequence[int], how: Relabelling, generator: np.random.Generator
    ) -> list[int]:
        """Another example's label, or one drawn uniformly from the label set."""
        return list(donated) if how.scheme == "shuffled" else [int(generator.integers(how.num_classes))]

    def null_bits(self, features: Sequence[Feature]) -> np.ndarray:
        return pair_null_bits([target for feature in features for target in feature.targets])

    def layers(self, config: XLMRobertaConfig, num_classes: int, embeddings: nn.Embedding) -> dict[str, nn.Module]:
        from xstilts.kinds.layers import Linear

        return {"dense": Linear(config.hidden_size, config.hidden_size), "out": Linear(config.hidden_size, num_classes)}

    def num_parameters(self, shape: HeadShape, num_classes: int) -> int:
        return (shape.hidden_size + 1) * (shape.hidden_size + num_classes)

    def logits(self, layers: Mapping[str, nn.Module], hidden_TH: Tensor, given: HeadInput) -> Tensor:
        """[T, classes]: `<s>` -> dense -> tanh -> classes, as RoBERTa's classification head."""
        first_TH = layers["dropout"](hidden_TH)
        return layers["out"](layers["dropout"](layers["dense"](first_TH).tanh()))

    def decode(self, features: Sequence[Feature], logits: Tensor, labels: Sequence[str] | None) -> list[str]:
        assert labels is not None
        return [labels[i] for i in logits.argmax(1).tolist()]

    def reference(self, example: PairExample, language: str) -> str:
        assert example.label is not None, f"example {example.id} has no label"
        return example.label

    def random_predictions(
        self,
        examples: Sequence[PairExample],
        references: Sequence[str],
        labels: Sequence[str],
        generator: np.random.Generator,
    ) -> list[str]:
        labels = labels or sorted(set(references))
        return [labels[int(generator.integers(len(labels)))] for _ in examples]

    def constant_predictions(self, examples: Sequence[PairExample], references: Sequence[Any]) -> list[list[Any]]:
        """The most frequent label of these very examples."""
        return [[most_frequent(references)] * len(references)]

    def write_predictions(self, examples: Sequence[PairExample], predictions: Sequence[str]) -> str:
        return as_lines(predictions)

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        items = in_order(read_labels(predictions), read_labels(labels), "labels")
        return replace(items, notes=note_unknown(predictions, items.references, items.predictions, vocabulary))


PAIR = Pair()
