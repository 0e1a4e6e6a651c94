"""The stages of a study and what identifies them.

A stage's id is the hash of all that its weights depend on: data content, tokenizer, mathematics, precision, parent,
seed, and a version per task and for stages at large. World size, ZeRO stage, micro-batch and logging are not in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xstilts.config.recipe import Recipe, Target
from xstilts.config.training import Mixing, StageConfig
from xstilts.data.catalogue import Catalogue
from xstilts.data.keyed import derive_seed
from xstilts.errors import UserError
from xstilts.tasks import Kind, find_task
from xstilts.training.loop import count_steps

_VERSION = 1
"""Raised when training computes something else from the same configuration."""


@dataclass(frozen=True)
class Stage:
    """One training stage; `parent` None starts from the recipe's model."""

    id: str
    is_leaf: bool
    """Whether it trains a target: its weights are needed only until they are scored."""
    label: str
    """Where it stands: `pretraining`, `mixed`, `mixed.tydiqa`."""
    config: StageConfig
    parent: Stage | None
    seed: int
    """The study's seed that it belongs to."""
    randomness: int
    """Seed of its order, heads, masking and dropout: the same in every arm that trains these tasks in this role."""
    sizes: dict[str, int]
    """Task -> training examples."""

    @property
    def num_steps(self) -> int:
        return count_steps(self.config.training, sum(self.sizes.values()))

    def lineage(self) -> list[Stage]:
        """From the first stage to this one."""
        return [*(self.parent.lineage() if self.parent else []), self]


@dataclass(frozen=True)
class Leaf:
    """One arm, target and seed: what is scored."""

    arm: str
    target: str
    seed: int
    stage: Stage | None
    """The stage whose weights are scored; None: the recipe's model itself."""
    languages: tuple[str, ...]
    settings: Target

    @property
    def seeds(self) -> str:
        return "-".join(str(stage.seed) for stage in self.stage.lineage()) if self.stage else str(self.seed)


@dataclass(frozen=True)
class Graph:
    """Every leaf of a study, in the order in which to compute them."""

    leaves: tuple[Leaf, ...]
    model_id: str
    """Identifies the model that all stages start from."""

    def stages(self) -> Iterator[Stage]:
        """Every distinct stage, parents first."""
        seen = set()
        for leaf in self.leaves:
            for stage in leaf.stage.lineage() if leaf.stage else []:
                if stage.id not in seen:
                    seen.add(stage.id)
                    yield stage


def build_graph(recipe: Recipe, catalogue: Catalogue, model_fingerprint: str, precision: str) -> Graph:
    """Reads the data's fingerprints (tokenising what is not cached) and lays out all stages and leaves."""
    model_id = _hash(["model", model_fingerprint, recipe.model.config, catalogue.tokenizer.fingerprint, precision])
    leaves = []
    for seed in recipe.seeds:
        trunk: Stage | None = None
        for config in recipe.pretraining:
            trunk = _stage(catalogue, config, trunk, seed, "pretraining", model_id)
        for arm, configs in recipe.arms.items():
            tip = trunk
            for config in configs:
                tip = _stage(catalogue, config, tip, seed, arm, model_id, role="intermediate")
            for target, settings in recipe.targets.items():
                leaves.append(_leaf(catalogue, arm, target, settings, tip, seed, model_id))
    return Graph(tuple(leaves), model_id)


def _leaf(catalogue: Catalogue, arm: str, target: str, settings: Target, tip: Stage | None, seed: int, model_id: str) -> Leaf:
    task = find_task(target)
    if task.kind is Kind.MLM:
        raise UserError(f"targets: '{target}' has no score; name a task with a metric")
    for name in _trained_tasks(target, settings):
        config = StageConfig(tasks=[name], mixing=Mixing(), training=settings.training)
        tip = _stage(catalogue, config, tip, seed, f"{arm}.{target}", model_id, role=f"target {target}", is_leaf=True)
    languages = tuple(settings.languages or task.languages)
    for language in languages:
        task.code_of(language)
    return Leaf(arm, target, seed, tip, languages, settings)


def _trained_tasks(target: str, settings: Target) -> Sequence[str]:
    task = find_task(target)
    if settings.train_on is not None:
        if task.trained_by is not None and settings.train_on[-1:] != [task.trained_by]:
            raise UserError(f"targets.{target}.train_on must end with '{task.trained_by}', whose head predicts it")
        return settings.train_on
    return [task.trained_by] if task.trained_by else []


def _stage(
    catalogue: Catalogue,
    config: StageConfig,
    parent: Stage | None,
    seed: int,
    label: str,
    model_id: str,
    *,
    role: str = "pretraining",
    is_leaf: bool = False,
) -> Stage:
    tasks = {name: find_task(name) for name in config.tasks}
    for name, task in tasks.items():
        if task.kind is Kind.RETRIEVAL:
            raise UserError(f"task '{name}' is retrieval and cannot be trained on; use it as a target")
        if task.kind is not Kind.MLM and config.languages != ["eng_Latn"]:
            raise UserError(f"stage '{label}': task '{name}' trains in English; give languages only to stages of masked language modelling")
    if config.training.dev and all(task.kind is Kind.MLM for task in tasks.values()):
        raise UserError(f"stage '{label}': masked language modelling has no dev metric; set training.dev to null there")
    train = {name: catalogue.train(task, config.languages) for name, task in tasks.items()}
    dev = {name: catalogue.scored(task, "dev").fingerprint for name, task in tasks.items() if config.training.dev and task.kind is not Kind.MLM}
    randomness = derive_seed(seed, role, *config.tasks)
    identity = [
        *(_VERSION, parent.id if parent else model_id, randomness),
        *(config.mixing.model_dump(mode="json"), config.training.model_dump(mode="json")),
        {name: features.fingerprint for name, features in train.items()},
        dev,
    ]
    sizes = {name: len(features) for name, features in train.items()}
    return Stage(_hash(identity), is_leaf, label, config, parent, seed, randomness, sizes)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
