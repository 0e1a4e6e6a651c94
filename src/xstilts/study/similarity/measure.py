"""Every measure of every intermediate stage of a run against every target and language."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import torch

from xstilts.core.errors import UserError
from xstilts.distributed import dist
from xstilts.measures.fisher import fisher_cosine
from xstilts.measures.transferability import leep
from xstilts.measures.typology import Typology, load_uriel
from xstilts.study.graph import Leaf, Stage
from xstilts.study.models import Models
from xstilts.study.similarity import values
from xstilts.study.similarity.encode import Encoded
from xstilts.study.similarity.inputs import Inputs, intermediate_inputs, labelled_inputs, parallel, target_inputs
from xstilts.study.similarity.table import Measurement, Value
from xstilts.study.similarity.values import AFTER, BEFORE, LayersByWeights
from xstilts.study.study import Study
from xstilts.tasks.languages import ENGLISH

FISHER_EXAMPLES = 32
"""Each is a backward pass of its own."""


def measure(study: Study, num_examples: int, say: Callable[[str], None]) -> list[Measurement]:
    """All measurements of the intermediate stages whose weights are there; the others are named."""
    rows: list[Measurement] = []
    leaves = {leaf.target: leaf for leaf in study.graph.leaves}
    for stage in intermediate_stages(study):
        name = f"{stage.label} seed {stage.seed}"
        absent = next((each for each in (stage.parent, stage) if each and not study.trained(each)), None)
        if absent is not None:
            say(f"left out: {name}, the weights of {absent.label} ({absent.id}) are not there")
            continue
        say(f"measuring {name}")
        measured = _Measured(study, stage, num_examples)
        for leaf in leaves.values():
            rows += measured.rows(leaf)
    return rows


def intermediate_stages(study: Study) -> list[Stage]:
    """Every stage between pretraining and the targets' own, once."""
    found: dict[str, Stage] = {}
    for leaf in study.graph.leaves:
        for stage in leaf.lineage[len(study.recipe.pretraining) :]:
            if not stage.is_leaf:
                found.setdefault(stage.id, stage)
    return list(found.values())


@dataclass(frozen=True)
class _Own:
    """An intermediate task in English."""

    inputs: Inputs
    layers: LayersByWeights
    fisher: Mapping[str, torch.Tensor] | None
    """None of masked language modelling, which has no labels of its own to draw."""


class _Measured:
    """One stage."""

    def __init__(self, study: Study, stage: Stage, num_examples: int) -> None:
        self._catalogue = study.catalogue
        self._stage = stage
        self._num_examples = num_examples
        models = Models(study.recipe.model, study.workspace, study.catalogue)
        budget = study.recipe.runtime.tokens_per_micro_batch
        self._models = {
            when: Encoded(models.end(end), study.catalogue.tokenizer, budget, dist.device())
            for when, end in ((BEFORE, stage.parent), (AFTER, stage))
        }
        inputs_by_task = intermediate_inputs(study, stage, num_examples)
        self._tasks = {
            name: _Own(inputs, self._layers(inputs), self._fisher(name, inputs))
            for name, inputs in inputs_by_task.items()
        }

    def rows(self, leaf: Leaf) -> Iterator[Measurement]:
        """Of a target in all its languages."""
        yield from self._transferability(leaf.target)
        english = self._target(leaf, ENGLISH) if ENGLISH in leaf.languages else None
        english_layers = self._layers(english) if english else None
        for language in leaf.languages:
            inputs = self._target(leaf, language)
            layers = self._layers(inputs)
            translated = english is not None and language != ENGLISH and parallel(english, inputs)
            of_stage = [
                *values.of_stage(layers),
                *values.of_translations(english_layers if translated else None, layers),
                *values.of_typology(_typology, ENGLISH, language),
            ]
            yield from (self._row(value, "", leaf.target, language) for value in of_stage)
            for name, own in self._tasks.items():
                of_task = [
                    *values.of_places(own.layers, layers),
                    *values.of_texts(own.inputs, inputs),
                    self._fisher_cosine(name, own, inputs),
                ]
                yield from (self._row(value, name, leaf.target, language) for value in of_task)

    def _transferability(self, target: str) -> Iterator[Measurement]:
        inputs = labelled_inputs(self._catalogue, target, self._num_examples)
        if inputs is None:
            missing = "the target trains no labels of a set"
            for name in ("log_me", "h_score", "leep"):
                yield self._row(Value(name, None, 0, missing=missing), "", target, "")
            return
        features = {when: model.labelled(inputs) for when, model in self._models.items()}
        yield from (self._row(value, "", target, "") for value in values.of_features(features))
        labels = features[AFTER][1]
        for name, own in self._tasks.items():
            if own.inputs.task.kind.name == inputs.task.kind.name:
                value = leep(self._models[AFTER].probabilities(name, inputs), labels)
                yield self._row(Value("leep", value, len(labels), AFTER), name, target, "")
            else:
                yield self._row(Value("leep", None, 0, AFTER, missing=_other_kind(name, own, inputs)), name, target, "")

    def _fisher(self, name: str, inputs: Inputs) -> Mapping[str, torch.Tensor] | None:
        scored = inputs.task.kind.scored
        return self._models[AFTER].fisher(name, inputs, FISHER_EXAMPLES) if scored else None

    def _fisher_cosine(self, name: str, own: _Own, inputs: Inputs) -> Value:
        """Both diagonals with the task's own head, which can only read inputs of its kind."""
        if own.fisher is None or own.inputs.task.kind.name != inputs.task.kind.name:
            return Value("fisher_cosine", None, 0, AFTER, missing=_other_kind(name, own, inputs))
        num = min(FISHER_EXAMPLES, len(inputs.features))
        fisher = self._models[AFTER].fisher(name, inputs, FISHER_EXAMPLES)
        return Value("fisher_cosine", fisher_cosine(own.fisher, fisher), num, AFTER)

    def _target(self, leaf: Leaf, language: str) -> Inputs:
        return target_inputs(self._catalogue, leaf.target, leaf.settings, language, self._num_examples)

    def _layers(self, inputs: Inputs) -> LayersByWeights:
        return {when: model.layers(inputs) for when, model in self._models.items()}

    def _row(self, value: Value, task: str, target: str, language: str) -> Measurement:
        stage = self._stage
        return Measurement(stage.id, stage.label, stage.seed, task, target, language, **vars(value))


def _other_kind(name: str, own: _Own, inputs: Inputs) -> str:
    return f"the head of {name} ({own.inputs.task.kind.name}) reads no {inputs.task.kind.name} examples"


@cache
def _typology() -> Typology | str:
    """The knowledge base, or why there is none."""
    try:
        return Typology(load_uriel())
    except UserError as error:
        return str(error)
