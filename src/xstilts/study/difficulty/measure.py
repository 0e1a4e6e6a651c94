"""Every measure of difficulty of the tasks of a run's stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from xstilts.core.errors import UserError
from xstilts.data.batch import collate
from xstilts.data.catalogue import Part
from xstilts.data.loader import MicroBatch
from xstilts.data.packing import pack
from xstilts.data.store import FeatureSet
from xstilts.distributed import dist
from xstilts.evaluation.baselines import baselines_of
from xstilts.evaluation.predictor import Forward, Predictor
from xstilts.evaluation.results import dev_score, examples_of
from xstilts.evaluation.work import Work
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.measures.difficulty import cartography, code_length, normalised_error, v_information
from xstilts.measures.task_visits import TaskVisits, visits_of
from xstilts.measures.visits import read_visits
from xstilts.study.difficulty.table import Difficulty
from xstilts.study.graph import Stage
from xstilts.study.models import Models, inference
from xstilts.study.ranking import stage_features
from xstilts.study.record import Record, read_record
from xstilts.study.study import Study
from xstilts.study.works import kinds_of
from xstilts.tasks import find_task
from xstilts.tasks.languages import ENGLISH
from xstilts.training.visits import items_of


def measure(study: Study, stages: Sequence[Stage], num_dev: int) -> list[Difficulty]:
    """The tasks of these stages, which have ended; code length of equally many items of each, as many as all have.

    Args:
        num_dev: dev items that are predicted, the first of each task.
    """
    measured = [_MeasuredTask(study, stage, task, num_dev) for stage in stages for task in stage.config.tasks]
    num_items = min((len(each.first.ids) for each in measured if each.can_code), default=0)
    return [each.row(num_items) for each in measured]


@dataclass(frozen=True)
class _MeasuredTask:
    """One task of one stage."""

    study: Study
    stage: Stage
    task: str
    num_dev: int

    @cached_property
    def visits(self) -> TaskVisits | None:
        if self._record.num_visits is None:
            return None
        folder = self.study.workspace.stage(self.stage.id) / "visits"
        return visits_of(read_visits(folder, self._record.num_steps), self.task)

    @cached_property
    def first(self) -> TaskVisits:
        assert self.visits is not None
        return self.visits.first()

    @cached_property
    def can_code(self) -> bool:
        """Whether there is what a code length is computed from."""
        return self.visits is not None and find_task(self.task).kind.null_bits([]) is not None

    def row(self, num_items: int) -> Difficulty:
        missing: list[str] = []
        length = self._code_length(num_items, missing)
        confidence, variability = self._cartography(missing)
        error, information, num_dev = self._on_dev(missing)
        return Difficulty(
            stage=self.stage.id,
            label=self.stage.label,
            seed=self.stage.seed,
            task=self.task,
            num_items=num_items if length is not None else 0,
            num_dev=num_dev,
            normalised_error=error,
            code_length=length,
            confidence=confidence,
            variability=variability,
            v_information=information,
            missing="; ".join(missing),
        )

    @cached_property
    def _record(self) -> Record:
        return read_record(self.study.workspace.stage(self.stage.id))

    def _code_length(self, num_items: int, missing: list[str]) -> float | None:
        if self.visits is None:
            missing.append("no visits were recorded (runtime.record_visits)")
            return None
        if not self.can_code:
            missing.append("its kind has no null model")
            return None
        features = stage_features(self.study.catalogue, self.study.workspace, self.stage)[self.task]
        null_bits = _null_bits(self.task, features, list(self.first.ids[:num_items]))
        return code_length(self.first.nll[:num_items], null_bits)

    def _cartography(self, missing: list[str]) -> tuple[float | None, float | None]:
        if self.visits is None:
            return None, None
        found = cartography(self.visits)
        if not len(found.ids):
            missing.append("no item was drawn three times")
            return None, None
        return float(found.confidence.mean()), float(found.variability.mean())

    def _on_dev(self, missing: list[str]) -> tuple[float | None, float | None, int]:
        task = find_task(self.task)
        if not task.kind.scored:
            return None, None, 0
        if not self.study.trained(self.stage):
            missing.append("its weights are not there to predict dev items")
            return None, None, 0
        catalogue = self.study.catalogue
        try:
            features = catalogue.open(Part(self.task, "dev", ENGLISH, scored=True))
        except UserError as problem:
            missing.append(str(problem))
            return None, None, 0
        num_dev = min(self.num_dev, len(features))
        work = Work(task, ENGLISH, "dev", features, catalogue.labels(task), num_dev)
        model = Models(self.study.recipe.model, self.study.workspace, catalogue).end(self.stage)
        forward = inference(model, "fp32", dist.device())
        examples, budget = examples_of(work), self.study.recipe.runtime.tokens_per_micro_batch
        (outputs,) = Predictor(forward, kinds_of(model.heads), catalogue.tokenizer, budget).predict([work])
        references = task.kind.references(examples, ENGLISH)
        trivial = baselines_of(work, examples, references, self.study.workspace.cache)[task.metrics[0]]
        error = normalised_error(dev_score(work, outputs), trivial.chance, trivial.majority)
        losses = _losses(self.study, list(model.heads), forward, self.task, features, num_dev)
        null_bits = task.kind.null_bits(features.load(range(num_dev)))
        if null_bits is None:
            return error, None, num_dev
        nll, num_targets = losses
        return error, v_information(nll, null_bits, num_targets), num_dev


def _null_bits(task: str, features: FeatureSet, ids: Sequence[str]) -> np.ndarray:
    """What the labels of these training items cost their null model, bits [n]."""
    row_of: dict[str, int] = {}
    for row, id_ in enumerate(features.column("id").to_pylist()):
        row_of.setdefault(id_, row)
    bits = find_task(task).kind.null_bits(features.load([row_of[id_] for id_ in ids]))
    assert bits is not None
    return bits


@torch.no_grad()
def _losses(
    study: Study, heads: Sequence[str], forward: Forward, task: str, features: FeatureSet, num_dev: int
) -> tuple[np.ndarray, np.ndarray]:
    """Loss in nats and targets of each of the first dev items, without dropout; float64 [n] and int64 [n]."""
    nll, num_targets = np.zeros(num_dev), np.zeros(num_dev, dtype=np.int64)
    for rows in pack([int(n) for n in features.num_tokens[:num_dev]], study.recipe.runtime.tokens_per_micro_batch):
        items = TaskItems.of(task, features.load(rows), 1.0)
        batch = collate([items], kinds_of(heads), Collation(study.catalogue.tokenizer))
        _, losses = forward(batch, "loss")
        micro = MicroBatch(0, batch, {task: [str(row) for row in rows]}, {task: [0] * len(rows)})
        for of_task in items_of(micro, losses[len(heads) :].float().cpu().numpy()):
            places = [int(id_) for id_ in of_task.ids]
            nll[places], num_targets[places] = of_task.nll, of_task.num_targets
    return nll, num_targets
