"""Which data a study reads: where laying out stages, scoring, preparing and describing data agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xstilts.config.recipe import Recipe, Target
from xstilts.config.training import StageConfig
from xstilts.core.errors import UserError
from xstilts.data.catalogue import ENGLISH, Part
from xstilts.tasks import find_task


def sources_of(recipe: Recipe) -> list[Part]:
    """Every part that a study opens, once, in the order in which it needs them."""
    return list(dict.fromkeys(_all(recipe)))


def _all(recipe: Recipe) -> Iterator[Part]:
    arms = [config for configs in recipe.arms.values() for config in configs]
    for config in [*recipe.pretraining, *arms]:
        yield from stage_parts(config)
    for target, settings in recipe.targets.items():
        for config in target_stages(target, settings):
            yield from stage_parts(config)
        yield from scored_parts(target, settings)


def stage_parts(config: StageConfig) -> list[Part]:
    """What a stage trains on and selects its weights by."""
    trained = [Part(name, "train", language, False) for name in config.tasks for language in config.languages_of(name)]
    return trained + dev_parts(config)


def dev_parts(config: StageConfig) -> list[Part]:
    """English dev data by which a stage selects its weights: of every task that has a score."""
    scored = [name for name in config.tasks if find_task(name).kind.scored]
    return [Part(name, "dev", ENGLISH, True) for name in scored] if config.training.dev else []


def target_stages(target: str, settings: Target) -> list[StageConfig]:
    """The stages trained for a target, one task each; the last one's head predicts it."""
    return [StageConfig(tasks=[name], training=settings.training) for name in _trained_tasks(target, settings)]


def _trained_tasks(target: str, settings: Target) -> Sequence[str]:
    task = find_task(target)
    if settings.train_on is not None:
        if task.trained_by is not None and settings.train_on[-1:] != [task.trained_by]:
            raise UserError(f"targets.{target}.train_on must end with '{task.trained_by}', whose head predicts it")
        return settings.train_on
    return [task.trained_by] if task.trained_by else []


def scored_parts(target: str, settings: Target) -> list[Part]:
    """The target in every language, and behind these, where scoring tunes on it, its dev split in every language."""
    task = find_task(target)
    splits = (settings.split, *(["dev"] if task.kind.tunes_on_dev else []))
    return [
        Part(target, split, language, True) for split in splits for language in settings.languages or task.languages
    ]
