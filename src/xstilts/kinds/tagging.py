"""Words, one tag each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xstilts.core.errors import UserError
from xstilts.core.reading import read_lines
from xstilts.kinds.base import Example, HeadShape, Kind, most_frequent
from xstilts.kinds.feature import NO_LABEL, Encoding, Feature
from xstilts.kinds.files import Items, Lines, in_order, note_unknown
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.kinds.relabelling import Relabelling
from xstilts.kinds.transformers_head import TransformersHead
from xstilts.measures.null_models import tagging_null_bits

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import XLMRobertaConfig

Tags = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaggingExample(Example):
    words: tuple[str, ...]
    tags: Tags | None


class Tagging(Kind[TaggingExample]):
    """Predictions and references are a tuple of tags; files hold one tag per line and a blank line after every
    sentence. The first subword of a word carries its tag."""

    name = "tagging"
    example_type = TaggingExample
    collects_labels = True
    relabels = True
    suffix = "tsv"
    transformers_head = TransformersHead(
        "XLMRobertaForTokenClassification", {"classifier.weight": "out.weight", "classifier.bias": "out.bias"}
    )

    def encode(self, example: TaggingExample, encoding: Encoding) -> Feature:
        """A sentence longer than a segment goes on in another segment, so that every word has a prediction."""
        tokenizer = encoding.tokenizer
        room = encoding.max_length - 2
        feature = Feature(example.id, [], [])
        segment: list[int] = []
        words_here: list[int] = []

        def close() -> None:
            base = len(feature.tokens) + 1
            feature.positions.extend(base + offset for offset in words_here)
            feature.tokens.extend(tokenizer.single(segment))
            feature.lengths.append(len(segment) + 2)
            segment.clear()
            words_here.clear()

        for subwords in tokenizer.encode_words(example.words):
            feature.num_cut += max(0, len(subwords) - room)
            subwords = subwords[:room]
            if len(segment) + len(subwords) > room:
                close()
            words_here.append(len(segment))
            segment += subwords
        close()
        tags = example.tags if example.tags is not None else [None] * len(example.words)
        feature.targets = [NO_LABEL if tag is None else encoding.label_index.get(tag, NO_LABEL) for tag in tags]
        feature.num_targets = sum(target != NO_LABEL for target in feature.targets)
        return feature

    def texts(self, example: TaggingExample) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (" ".join(example.words),), ()

    def classes(self, example: TaggingExample) -> Iterable[str]:
        return example.tags or ()

    def collate(self, items: TaskItems, tokens_L: np.ndarray, collation: Collation) -> HeadArrays:
        features = items.features
        targets, sizes = features.targets.flat(), features.targets.sizes
        weights = (items.weights / np.maximum(1, features.num_targets)).repeat(sizes)
        weights[targets == NO_LABEL] = 0
        return HeadArrays(features.positions_in_row(), targets, weights, sizes)

    def relabel(
        self, feature: Feature, donated: Sequence[int], how: Relabelling, generator: np.random.Generator
    ) -> list[int]:
        """The sentence's own tags in another order, or tags drawn uniformly from the tag set; no word gains or loses
        one."""
        targets = np.array(feature.targets, dtype=np.int64)
        known = targets != NO_LABEL
        if how.scheme == "shuffled":
            targets[known] = generator.permutation(targets[known])
        else:
            targets[known] = generator.integers(how.num_classes, size=known.sum())
        return [int(target) for target in targets]

    def null_bits(self, features: Sequence[Feature]) -> np.ndarray:
        return tagging_null_bits([[tag for tag in feature.targets if tag != NO_LABEL] for feature in features])

    def layers(self, config: XLMRobertaConfig, num_classes: int, embeddings: nn.Embedding) -> dict[str, nn.Module]:
        from xstilts.kinds.layers import Linear

        return {"out": Linear(config.hidden_size, num_classes)}

    def num_parameters(self, shape: HeadShape, num_classes: int) -> int:
        return (shape.hidden_size + 1) * num_classes

    def logits(self, layers: Mapping[str, nn.Module], hidden_TH: Tensor, given: HeadInput) -> Tensor:
        """[T, classes]: first subword of each word -> tag."""
        return layers["out"](layers["dropout"](hidden_TH))

    def decode(self, features: Sequence[Feature], logits: Tensor, labels: Sequence[str] | None) -> list[Tags]:
        assert labels is not None
        best = iter(logits.argmax(1).tolist())
        return [tuple(labels[next(best)] for _ in feature.positions) for feature in features]

    def reference(self, example: TaggingExample, language: str) -> Tags:
        assert example.tags is not None, f"example {example.id} has no tags"
        return example.tags

    def random_predictions(
        self,
        examples: Sequence[TaggingExample],
        references: Sequence[Tags],
        labels: Sequence[str],
        generator: np.random.Generator,
    ) -> list[Tags]:
        labels = labels or sorted(set(chain.from_iterable(references)))
        return [tuple(labels[i] for i in generator.integers(len(labels), size=len(e.words))) for e in examples]

    def constant_predictions(self, examples: Sequence[TaggingExample], references: Sequence[Any]) -> list[list[Any]]:
        """The most frequent tag of these very sentences."""
        tag = most_frequent(chain.from_iterable(references))
        return [[(tag,) * len(tags) for tags in references]]

    def write_predictions(self, examples: Sequence[TaggingExample], predictions: Sequence[Tags]) -> str:
        return "".join("\n".join(tags) + "\n\n" for tags in predictions)

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        guesses, rights = _read(predictions), _read(labels)
        items = in_order(guesses, rights, "sentences")
        for i, (guess, right) in enumerate(zip(guesses.items, rights.items, strict=True)):
            if len(guess) != len(right):
                counts = f"sentence {i + 1} has {len(guess)} tags where {labels}:{rights.numbers[i]} has {len(right)}"
                raise UserError.at(predictions, guesses.numbers[i], counts, "write one tag per word")
        known, tags = chain.from_iterable(items.references), chain.from_iterable(items.predictions)
        return replace(items, notes=note_unknown(predictions, known, tags, vocabulary))


def _read(path: Path) -> Lines:
    """Sentences by their first line; a second blank line makes an empty sentence, as in XTREME."""
    lines, sentence, start = Lines(path), [], 1
    for number, line in read_lines(path):
        tag = line.strip()
        if len(tag.split()) > 1:
            raise UserError.at(path, number, f"'{tag}' is not one tag", "write one tag per line, without the word")
        if tag:
            sentence.append(tag)
            continue
        lines.add(start, tuple(sentence))
        sentence, start = [], number + 1
    if sentence:
        lines.add(start, tuple(sentence))
    return lines.not_empty()


TAGGING = Tagging()
