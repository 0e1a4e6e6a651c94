"""Samples of what a run's models read: of an intermediate task in English, of a target in each of its languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xstilts.config.target import Target
from xstilts.data.catalogue import Catalogue, Part
from xstilts.data.store import FeatureSet
from xstilts.kinds.feature import Feature
from xstilts.study.graph import Stage
from xstilts.study.ranking import stage_features
from xstilts.study.study import Study
from xstilts.tasks import Task, find_task
from xstilts.tasks.languages import ENGLISH
from xstilts.text.tokenizer import Tokenizer

_SEED = 0


@dataclass(frozen=True)
class Inputs:
    """Some examples of one task in one language."""

    task: Task
    features: list[Feature]
    tokenizer: Tokenizer

    @cached_property
    def segments(self) -> list[list[int]]:
        """Tokens of each example's first segment: the first window of a long context, the first option of several."""
        return [feature.tokens[: feature.lengths[0]] for feature in self.features]

    @cached_property
    def pieces(self) -> list[list[int]]:
        """The same without special tokens."""
        return [[i for i in segment if i not in self.tokenizer.special_ids] for segment in self.segments]

    @cached_property
    def texts(self) -> list[str]:
        """The same as text, normalised as the tokenizer does it."""
        return [self.tokenizer.decode(segment) for segment in self.segments]


def intermediate_inputs(study: Study, stage: Stage, num_examples: int) -> dict[str, Inputs]:
    """Task of the stage -> examples that it trains on."""
    features = stage_features(study.catalogue, study.workspace, stage)
    return {
        name: _sample(find_task(name), features[name], range(len(features[name])), study.catalogue, num_examples)
        for name in stage.config.tasks
    }


def target_inputs(catalogue: Catalogue, target: str, settings: Target, language: str, num_examples: int) -> Inputs:
    """What is predicted of a target in a language, without its labels: queries, not the candidates of these."""
    task = find_task(target)
    features = catalogue.open(Part(target, settings.split, language, scored=True))
    if task.kind.trainable:
        return _sample(task, features, range(len(features)), catalogue, num_examples)
    examples = [task.kind.restore(fields) for fields in features.examples(slice(len(features)))]
    queries = {example.id for example in task.kind.items(examples)}
    rows = [row for row, example in enumerate(examples) if example.id in queries]
    return _sample(task, features, rows, catalogue, num_examples)


def labelled_inputs(catalogue: Catalogue, target: str, num_examples: int) -> Inputs | None:
    """English training examples of the task whose head predicts the target; None where they have no label set."""
    name = find_task(target).trained_by
    if name is None or catalogue.labels(find_task(name)) is None:
        return None
    features = catalogue.train(find_task(name), [ENGLISH])
    return _sample(find_task(name), features, range(len(features)), catalogue, num_examples)


def parallel(first: Inputs, second: Inputs) -> bool:
    """Whether example i of both says the same in two languages: equal ids, which are more than a number, or else equal
    right answers."""
    ids, others = ([feature.id for feature in inputs.features] for inputs in (first, second))
    if ids != others:
        return False
    return not any(id_.isdecimal() for id_ in ids) or _references(first) == _references(second)


def _references(inputs: Inputs) -> list[list[int]]:
    return [feature.targets for feature in inputs.features]


def _sample(task: Task, features: FeatureSet, rows: Sequence[int], catalogue: Catalogue, num_examples: int) -> Inputs:
    """The same rows of sets of equal size, so that translations of each other stay so."""
    chosen = np.random.default_rng(_SEED).permutation(len(rows))[:num_examples]
    return Inputs(task, features.load([rows[i] for i in np.sort(chosen)]), catalogue.tokenizer)
