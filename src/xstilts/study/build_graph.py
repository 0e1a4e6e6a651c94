"""Laying out the stages of a study, and what identifies them.

A stage's id is the hash of what is trained: data content, tokenizer, mathematics, precision, parent, seed, and a
version per task and for stages at large. How it is computed is not in it: world size, ZeRO stage, micro-batch, logging.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from xstilts.config.recipe import Recipe
from xstilts.config.roles import INTERMEDIATE, PRETRAINING, TARGET, Role
from xstilts.config.selection import Snapshots
from xstilts.config.sweep import first_written_out
from xstilts.config.target import Target
from xstilts.config.trainable import Trainable
from xstilts.config.training import StageConfig
from xstilts.core.seeds import derive_seed
from xstilts.data.catalogue import Catalogue
from xstilts.study.graph import DataPart, Graph, Leaf, Stage
from xstilts.study.sources import dev_parts, stage_parts
from xstilts.study.stage_data import Measured, check_trains, continued, files_of, measured_whole, training_features
from xstilts.study.sweep import Sweeps
from xstilts.tasks import find_task

_VERSION = 5
"""Raised when training computes something else from the same configuration."""


def build_graph(
    recipe: Recipe,
    catalogue: Catalogue,
    model_fingerprint: str,
    precision: str,
    dev_score: Callable[[str], float | None] = lambda stage_id: None,
) -> Graph:
    """Reads the data's fingerprints (tokenising what is not cached) and lays out all stages and leaves; sweeps choose
    by `dev_score`, the English dev score of a stage by its id, None before that is trained."""
    model_id = _hash(["model", model_fingerprint, recipe.model.config, catalogue.tokenizer.fingerprint])

    def pilot(seed: int, label: str, configs: Sequence[StageConfig]) -> Stage:
        stages = _Stages(catalogue, model_id, precision, seed, recipe.pretraining)
        before = replace(stages, seed=(recipe.pretraining_seeds or [seed])[0])
        trunk = before.chain(None, recipe.pretraining, PRETRAINING.name, PRETRAINING)
        last = stages.chain(trunk, configs, label, INTERMEDIATE)
        assert last is not None
        return replace(last, label=label)

    sweeps = Sweeps(pilot, recipe.pilot_seeds or (), dev_score)
    resolved = {arm: sweeps.resolved(arm, configs) for arm, configs in recipe.arms.items()}
    arms = {arm: configs for arm, configs in resolved.items() if configs is not None}
    leaves = planned = _leaves(recipe, catalogue, model_id, precision, arms)
    if sweeps.choices:
        first = {arm: [first_written_out(config) for config in configs] for arm, configs in recipe.arms.items()}
        planned = _leaves(recipe, catalogue, model_id, precision, first)
    return Graph(leaves, model_id, planned, tuple(sweeps.pilots), tuple(sweeps.choices))


def _leaves(
    recipe: Recipe, catalogue: Catalogue, model_id: str, precision: str, arms: Mapping[str, Sequence[StageConfig]]
) -> tuple[Leaf, ...]:
    """Of these arms of a recipe, every seed and target."""
    leaves: list[Leaf] = []
    pretraining_seeds = recipe.pretraining_seeds or recipe.seeds
    for i, seed in enumerate(recipe.seeds):
        own = _Stages(catalogue, model_id, precision, seed=pretraining_seeds[i % len(pretraining_seeds)])
        trunk = own.chain(None, recipe.pretraining, PRETRAINING.name, PRETRAINING)
        kept = recipe.selection.snapshots if recipe.selection else None
        stages = _Stages(catalogue, model_id, precision, seed, recipe.pretraining, kept)
        for arm, configs in arms.items():
            matching = [stages.with_steps(config, trunk, recipe.arms) for config in configs]
            tip = stages.chain(trunk, matching, arm, INTERMEDIATE)
            found = [stages.leaf(tip, arm, target, settings) for target, settings in recipe.targets.items()]
            leaves += [leaf for leaf in found if leaf is not None]
    return tuple(leaves)


@dataclass(frozen=True)
class _Stages:
    """The stages of one seed, laid end to end."""

    catalogue: Catalogue
    model_id: str
    precision: str
    seed: int
    pretraining: Sequence[StageConfig] = ()
    """What a reference stage goes on from, with its own seed."""
    snapshots: Snapshots | None = None
    """What the last stage of every target keeps."""

    def chain(self, parent: Stage | None, configs: Sequence[StageConfig], label: str, role: Role) -> Stage | None:
        """The last of the stages that follow each other, `parent` itself without any."""
        for number, config in enumerate(configs, start=1):
            name = f"{label}-{number}" if len(configs) > 1 else label
            snapshots = self.snapshots if role is TARGET and number == len(configs) else None
            parent = self._stage(parent, config, name, role, snapshots)
        return parent

    def with_steps(
        self, config: StageConfig, trunk: Stage | None, arms: Mapping[str, Sequence[StageConfig]]
    ) -> StageConfig:
        """The stage with as many steps as the arm that it is to match, written out: it is what a recipe with that
        number makes."""
        if config.match is None:
            return config
        tip = self.chain(trunk, arms[config.match.steps], config.match.steps, INTERMEDIATE)
        assert tip is not None
        steps = sum(stage.num_steps for stage in tip.lineage()[len(trunk.lineage()) if trunk else 0 :])
        return config.model_copy(update={"training": config.training.model_copy(update={"steps": steps})})

    def leaf(self, tip: Stage | None, arm: str, target: str, settings: Target) -> Leaf | None:
        """The target trained and scored at the end of an arm; None where the arm's own head is to predict it and there
        is none.

        What is trained for a target is named by its tasks and not by the target: targets that train on the same task
        in the same way share the stage.
        """
        task = find_task(target)
        languages = tuple(settings.languages or task.languages)
        for language in languages:
            task.code_of(language)
        if settings.head == "arm":
            before = reversed(tip.lineage() if tip else [])
            head_of = next((stage for stage in before if {task.name, task.trained_by} & {*stage.config.tasks}), None)
            return Leaf(arm, target, self.seed, tip, languages, settings, head_of) if head_of else None
        stage = self.chain(tip, settings.stages(target), f"{arm}.{target}", TARGET)
        return Leaf(arm, target, self.seed, stage, languages, settings)

    def _stage(
        self, parent: Stage | None, config: StageConfig, label: str, role: Role, snapshots: Snapshots | None = None
    ) -> Stage:
        check_trains(config, label)
        is_leaf = role is TARGET
        randomness = derive_seed(self.seed, role.name, *config.tasks)
        reference = self._reference(config)
        measured = Measured(reference.id) if reference else None
        train = training_features(self.catalogue, config, randomness, measured)
        dev = {part.task: self.catalogue.open(part).fingerprint for part in dev_parts(config)}
        continues = continued(parent.config, config) if is_leaf and parent and parent.is_leaf else None
        identity = [
            *(_VERSION, parent.id if parent else self.model_id, self.precision, randomness),
            *(config.mixing.model_dump(mode="json"), config.training.model_dump(mode="json")),
            {name: features.fingerprint for name, features in train.items()},
            *(dev, continues, *([asdict(snapshots)] if snapshots else ())),
        ]
        if config.trainable != Trainable():
            identity.append({"trainable": config.trainable.model_dump(mode="json")})
        sizes = {name: len(features) for name, features in train.items()}
        return Stage(
            *(_hash(identity), is_leaf, label, config, parent, self.seed, randomness, self._data(config), sizes),
            continues=continues,
            files=files_of(self.catalogue, config),
            reference=reference,
            snapshots=snapshots,
        )

    def _reference(self, config: StageConfig) -> Stage | None:
        """The stage by whose visits the examples of this one are ranked: the same for every arm and seed."""
        reference = config.subset.reference if config.subset else None
        if reference is None:
            return None
        stages = replace(self, seed=reference.seed)
        trunk = stages.chain(None, self.pretraining, PRETRAINING.name, PRETRAINING)
        return stages._stage(trunk, measured_whole(config), f"reference-{config.tasks[0]}", INTERMEDIATE)

    def _data(self, config: StageConfig) -> tuple[DataPart, ...]:
        opened = [(part, self.catalogue.open(part)) for part in stage_parts(config)]
        return tuple(DataPart(*part[:3], len(features), features.fingerprint) for part, features in opened)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
