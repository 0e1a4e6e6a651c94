"""A kind of task: all that tasks of one form have in common, from the example to the file of predictions.

A kind is an object that a task names. Who calls it knows no kind by name, so that another kind is another file. Nothing
here loads torch before a head is built or a prediction made.

Shape suffixes: T positions read, H hidden size, N examples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from xstilts.kinds.feature import Encoding, Feature
from xstilts.kinds.features import Features
from xstilts.kinds.files import Items
from xstilts.kinds.head_input import Collation, HeadArrays, HeadInput, TaskItems
from xstilts.kinds.relabelling import Relabelling
from xstilts.kinds.transformers_head import TransformersHead

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import XLMRobertaConfig


@dataclass(frozen=True, slots=True)
class Example:
    """What a reader yields: the text exactly as released, neither tokenised nor normalised. Answers are offsets into,
    and scored against, this text."""

    id: str


E = TypeVar("E", bound=Example)


class HeadShape(Protocol):
    """What the size of a head depends on."""

    @property
    def hidden_size(self) -> int: ...

    @property
    def vocab_size(self) -> int: ...


class Kind(ABC, Generic[E]):
    """How tasks of one form are encoded, trained, predicted, scored and written to files.

    Subclasses say what is theirs; methods of what a kind does not do, a head for one that is never trained, say, are
    never called and stay as they are here.
    """

    name: str
    example_type: type[E]

    trainable: bool = True
    """Whether it has a head to train; otherwise it is predicted from sentence embeddings."""
    scored: bool = True
    """Whether there are predictions, and metrics for them."""
    collects_labels: bool = False
    """Whether a task that states no label set takes that of its training data (`classes`)."""
    any_language: bool = False
    """Whether a stage trains it in the stage's languages; the other kinds train in English."""
    carries_head: bool = False
    """Whether a target's next stage of this kind goes on with the head: only one that knows no labels can."""
    ties_embeddings: bool = False
    """Whether its head decodes with the embedding matrix: every row of that gets a gradient in every step, and the head
    is part of what was pretrained and stays with the encoder from stage to stage."""
    windowed: bool = False
    """Whether the segments of an example may go into different micro-batches: its loss is a sum over them."""
    targets_shape: tuple[int, ...] = ()
    """Shape of what one weight belongs to: `HeadInput.targets` is [n, *targets_shape], and a loss is a mean over it."""
    tunes_on_dev: bool = False
    """Whether predicting needs a threshold that is tuned on the task's dev split."""
    relabels: bool = False
    """Whether its training examples have targets that can be replaced (`relabel`)."""
    one_label: bool = False
    """Whether the targets of an example are one label, by which parts of the data can be stratified."""
    suffix: str
    """Of its files in XTREME's submission layout."""
    transformers_head: TransformersHead | None = None
    """The class of `transformers` that computes what its head does, where there is one."""

    # Examples.

    @abstractmethod
    def encode(self, example: E, encoding: Encoding) -> Feature:
        """The tokens of an example; its `Feature.example` is filled in by who stores it."""

    def restore(self, fields: Mapping[str, Any]) -> E:
        """The example whose fields (`dataclasses.asdict`, read back from JSON) these are."""
        as_read: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        return self.example_type(**as_read)

    @abstractmethod
    def texts(self, example: E) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The texts that must not be both trained on and scored, and the other texts of the input."""

    def classes(self, example: E) -> Iterable[str]:
        """What statistics count: a label, tags, whether there is an answer."""
        return ()

    # Training.

    @abstractmethod
    def collate(self, items: TaskItems, tokens_L: np.ndarray, collation: Collation) -> HeadArrays:
        """What the head reads of the items, whose tokens stand one after the other.

        Args:
            tokens_L: those tokens, int64, to be changed where the kind hides some.
        """

    def windows(self, features: Features, chosen: np.ndarray) -> Features:
        """One segment of each of these `windowed` examples by itself; `chosen` says which, int64 [N]."""
        raise AssertionError(f"{self.name} examples stay whole")

    def relabel(
        self, feature: Feature, donated: Sequence[int], how: Relabelling, generator: np.random.Generator
    ) -> list[int]:
        """Targets for a whole example that say nothing about it, as many as it has; drawn from `generator`.

        Args:
            donated: targets of another training example with equally many positions. Each example's are donated once.
        """
        raise AssertionError(f"{self.name} has no labels to replace")

    def null_bits(self, features: Sequence[Feature]) -> np.ndarray | None:
        """What the targets of each example cost the best model that sees no input, fitted to these very examples: bits,
        float64 [N]. None where the kind has no such model."""
        return None

    def layers(self, config: XLMRobertaConfig, num_classes: int, embeddings: nn.Embedding) -> dict[str, nn.Module]:
        """Name -> layer of the head. Names are those of the parameters in checkpoints, and seed their initialisation.

        A scorer of options or spans carries no bias: it would shift every score alike, have a true gradient of zero,
        and only collect rounding.
        """
        raise AssertionError(f"{self.name} has no head")

    def num_parameters(self, shape: HeadShape, num_classes: int) -> int:
        """Values of the head's `layers` but those that it shares with the embeddings. Kinds that do not say it have
        their layers built, without values, to be counted."""
        from xstilts.kinds.layers import count_parameters

        return count_parameters(self, shape, num_classes)

    def logits(self, layers: Mapping[str, nn.Module], hidden_TH: Tensor, given: HeadInput) -> Tensor:
        """Scores from the encoder output at the positions of `given`, from all `layers` and the head's `dropout`; there
        may be none."""
        raise AssertionError(f"{self.name} has no head")

    def losses(self, logits: Tensor, given: HeadInput) -> Tensor:
        """Cross-entropy per target, float32, 0 where a target is unknown; as long as `given.weights`. Of a target of
        several numbers (`targets_shape`) the mean of theirs."""
        from xstilts.kinds.layers import cross_entropy

        return cross_entropy(logits, given.targets)

    # Predictions: in the form that metrics take, as references are.

    def decode(self, features: Sequence[Feature], logits: Tensor, labels: Sequence[str] | None) -> list[Any]:
        """One prediction per feature; `labels` in head order. Ties go to what comes first."""
        raise AssertionError(f"{self.name} has no head")

    def retrieve(self, examples: Sequence[E], embed: Embed, threshold: float | None) -> list[Any]:
        """One prediction per item from sentence embeddings; `threshold` is that of `tune`."""
        raise AssertionError(f"{self.name} is predicted by a head")

    def tune(self, examples: Sequence[E], embed: Embed) -> float:
        """The threshold that is best on these examples, those of the dev split."""
        raise AssertionError(f"{self.name} has no threshold")

    def items(self, examples: Sequence[E]) -> Sequence[E]:
        """The examples that are predicted; the others are candidates of these."""
        return examples

    def num_kept(self, example: Callable[[int], E], num_examples: int, limit: int) -> int | None:
        """How many of `num_examples`, from the first on, are scored where the first `limit` items are asked for; None
        where no part can be scored by itself. `example` gives one by its number."""
        return min(limit, num_examples)

    def reference(self, example: E, language: str) -> Any:
        """The right answer of an item in the form that metrics take; `language` is the key of its text's."""
        raise AssertionError(f"{self.name} is not scored")

    def references(self, examples: Sequence[E], language: str) -> list[Any]:
        """The right answer of each item, in their order."""
        return [self.reference(example, language) for example in self.items(examples)]

    def random_predictions(
        self, examples: Sequence[E], references: Sequence[Any], labels: Sequence[str], generator: np.random.Generator
    ) -> list[Any]:
        """A prediction per item, drawn uniformly from the valid ones; without `labels` from those that occur."""
        raise AssertionError(f"{self.name} is not scored")

    def constant_predictions(self, examples: Sequence[E], references: Sequence[Any]) -> list[list[Any]]:
        """Predictions that read nothing, of which the best counts; none where there is no such thing."""
        return []

    def num_candidates(self, examples: Sequence[E]) -> int:
        """How many candidates an item's prediction is ranked from; 0 where nothing is ranked."""
        return 0

    # Files: one of predictions and one of labels per task, split and language.

    def write_predictions(self, examples: Sequence[E], predictions: Sequence[Any]) -> str:
        """The file of the predictions, one per item."""
        raise AssertionError(f"{self.name} is not scored")

    def write_labels(self, examples: Sequence[E], references: Sequence[Any]) -> str:
        """The file that predictions are scored against."""
        return self.write_predictions(examples, references)

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        """The items of both files. `vocabulary`: labels that are known beside those of the labels file.

        Raises:
            UserError: a file is malformed, or the two differ in length.
        """
        raise AssertionError(f"{self.name} is not scored")


Embed = Callable[[Sequence[int]], "Tensor"]
"""Numbers of examples -> their embeddings, float32 [N, H], on the device that searches them."""


def most_frequent(labels: Iterable[Any]) -> Any:
    """The most frequent of the labels, the smallest of several; None of none."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label)) if counts else None
