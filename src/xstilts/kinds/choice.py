"""A context and several options, one of them right."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xstilts.core.errors import UserError
from xstilts.core.reading import read_jsonl
from xstilts.kinds.base import Example, HeadShape, Kind, most_frequent
from xstilts.kinds.feature import NO_LABEL, Encoding, Feature, truncate
from xstilts.kinds.files import Items, Lines, as_lines, in_order
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.kinds.relabelling import Relabelling
from xstilts.kinds.transformers_head import TransformersHead
from xstilts.measures.null_models import choice_null_bits

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import XLMRobertaConfig


@dataclass(frozen=True, slots=True)
class ChoiceExample(Example):
    context: str
    question: str
    """Stands before each option, in the second text of its segment; empty where the context asks already."""
    options: tuple[str, ...]
    label: int | None


class Choice(Kind[ChoiceExample]):
    """Predictions and references are an option's index; files hold one JSON object per line with it as `label`, which
    is XCOPA's release form. An option's segment is `<s> context </s></s> question option </s>`."""

    name = "choice"
    example_type = ChoiceExample
    carries_head = True
    relabels = True
    one_label = True
    suffix = "jsonl"
    transformers_head = TransformersHead(
        "XLMRobertaForMultipleChoice",  # its pooler is our hidden layer
        {
            "roberta.pooler.dense.weight": "dense.weight",
            "roberta.pooler.dense.bias": "dense.bias",
            "classifier.weight": "out.weight",
        },
        {"classifier.bias": 1},
    )

    def encode(self, example: ChoiceExample, encoding: Encoding) -> Feature:
        context = encoding.tokenizer.encode(example.context).ids
        tokens: list[int] = []
        lengths, positions, num_cut = [], [], 0
        for option in example.options:
            second = encoding.tokenizer.encode(f"{example.question} {option}".strip()).ids
            num_second = len(second)
            first, second = truncate(context, second, encoding.max_length - 4)
            segment = encoding.tokenizer.pair(first, second)
            num_cut += len(context) + num_second - len(first) - len(second)
            positions.append(len(tokens))
            lengths.append(len(segment))
            tokens += segment
        target = NO_LABEL if example.label is None else example.label
        return Feature(example.id, tokens, lengths, positions, [target], num_cut=num_cut)

    def texts(self, example: ChoiceExample) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (example.context, example.question), example.options

    def classes(self, example: ChoiceExample) -> Iterator[str]:
        yield "unlabelled" if example.label is None else f"option {example.label + 1}"

    def collate(self, items: TaskItems, tokens_L: np.ndarray, collation: Collation) -> HeadArrays:
        features = items.features
        return HeadArrays(
            features.positions_in_row(),
            features.targets.flat(),
            items.weights,
            sizes=np.ones(len(features), dtype=np.int64),
            groups=features.positions.sizes,
        )

    def relabel(
        self, feature: Feature, donated: Sequence[int], how: Relabelling, generator: np.random.Generator
    ) -> list[int]:
        """The option that is right in another example with as many options, or one drawn uniformly."""
        return list(donated) if how.scheme == "shuffled" else [int(generator.integers(len(feature.positions)))]

    def null_bits(self, features: Sequence[Feature]) -> np.ndarray:
        targets = [target for feature in features for target in feature.targets]
        return choice_null_bits(targets, [len(feature.positions) for feature in features])

    def layers(self, config: XLMRobertaConfig, num_classes: int, embeddings: nn.Embedding) -> dict[str, nn.Module]:
        from xstilts.kinds.layers import Linear

        dense = Linear(config.hidden_size, config.hidden_size)
        return {"dense": dense, "out": Linear(config.hidden_size, 1, bias=False)}

    def num_parameters(self, shape: HeadShape, num_classes: int) -> int:
        return (shape.hidden_size + 2) * shape.hidden_size

    def logits(self, layers: Mapping[str, nn.Module], hidden_TH: Tensor, given: HeadInput) -> Tensor:
        """[E, options], -inf where an example has fewer options than another: `<s>` of each option -> dense -> tanh ->
        one score."""
        from xstilts.kinds.layers import ragged

        first_TH = layers["dropout"](hidden_TH)
        scores_T = layers["out"](layers["dropout"](layers["dense"](first_TH).tanh())).squeeze(1)
        return ragged(scores_T, given.groups)

    def decode(self, features: Sequence[Feature], logits: Tensor, labels: Sequence[str] | None) -> list[int]:
        return [int(i) for i in logits.argmax(1).tolist()]

    def reference(self, example: ChoiceExample, language: str) -> int:
        assert example.label is not None, f"example {example.id} has no label"
        return example.label

    def random_predictions(
        self,
        examples: Sequence[ChoiceExample],
        references: Sequence[int],
        labels: Sequence[str],
        generator: np.random.Generator,
    ) -> list[int]:
        return [int(generator.integers(len(example.options))) for example in examples]

    def constant_predictions(self, examples: Sequence[ChoiceExample], references: Sequence[Any]) -> list[list[Any]]:
        """The option that is right most often in these very examples."""
        return [[most_frequent(references)] * len(references)]

    def write_predictions(self, examples: Sequence[ChoiceExample], predictions: Sequence[int]) -> str:
        rows = ({"id": e.id, "label": label} for e, label in zip(examples, predictions, strict=True))
        return as_lines(json.dumps(row, ensure_ascii=False) for row in rows)

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        return in_order(_read(predictions), _read(labels), "choices")


def _read(path: Path) -> Lines:
    lines = Lines(path)
    for number, row in read_jsonl(path, required=["label"]):
        if type(row["label"]) is not int:
            raise UserError.at(
                path, number, f"label {row['label']!r} is not a number", "write the option's index, counted from 0"
            )
        lines.add(number, row["label"])
    return lines.not_empty()


CHOICE = Choice()
