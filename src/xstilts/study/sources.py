"""Which data a study reads: where laying out stages, scoring, preparing and describing data agree."""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.config.recipe import Recipe
from xstilts.config.roles import TARGET
from xstilts.config.selection import Selection
from xstilts.config.target import Target
from xstilts.config.training import StageConfig
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue, Part
from xstilts.tasks import find_task


def sources_of(recipe: Recipe) -> list[Part]:
    """Every part that a study opens, once, in the order in which it needs them."""
    return list(dict.fromkeys(_all(recipe)))


def check_sources(recipe: Recipe, catalogue: Catalogue) -> None:
    """Looks for every file that the study reads, before any of them is.

    Raises:
        UserError: with a line in `details` for each source that is not there, unless it is the only one; or a task
            cannot be trained on or scored, whatever is there of it; or the oracle would select on what is scored.
    """
    for role, name, configs in recipe.chains():
        if role is TARGET and not find_task(name).kind.scored:
            raise UserError(f"targets: '{name}' has no score; name a task with a metric")
        for task in (task for config in configs for task in config.tasks):
            if not find_task(task).kind.trainable:
                raise UserError(f"task '{task}' is retrieval and cannot be trained on; use it as a target")
    problems: dict[str, None] = {}
    parts = sources_of(recipe)
    for part in parts:
        try:
            catalogue.source(find_task(part.task), part.split, part.language)
        except UserError as error:
            problems[str(error)] = None
    if len(problems) == 1:
        raise UserError(*problems)
    if problems:
        total = f"{len(problems)} of {len(parts)} sources are not there"
        summary = UserError(f"{total}; each is named above with what is to be done (docs/data.md says where all lie)")
        summary.details = tuple(problems)
        raise summary
    for target, settings in recipe.targets.items():
        _check_oracle(recipe.selection, target, settings, catalogue)


def _check_oracle(selection: Selection | None, target: str, settings: Target, catalogue: Catalogue) -> None:
    """A UserError where the dev data that the oracle selects on are those that are scored, whatever files are called:
    the dev files of TyDiQA are XTREME's test set."""
    for part in oracle_parts(selection, target, settings):
        task = find_task(target)
        dev, scored = (catalogue.source(task, split, part.language) for split in (part.split, settings.split))
        if dev.overlaps(scored):
            problem = f"selection.also: oracle would select {target} in {part.language} on the {settings.split} data"
            raise UserError(f"{problem} that it scores; drop the oracle, or name other dev data in data.sources")


def _all(recipe: Recipe) -> Iterator[Part]:
    for role, name, configs in recipe.chains():
        for config in configs:
            yield from stage_parts(config)
        if role is TARGET:
            yield from scored_parts(name, recipe.targets[name])
            yield from oracle_parts(recipe.selection, name, recipe.targets[name])


def stage_parts(config: StageConfig) -> list[Part]:
    """What a stage trains on and selects its weights by."""
    trained = [
        Part(read_by(config, name), "train", language, False)
        for name in config.tasks
        for language in config.languages_of(name)
    ]
    return list(dict.fromkeys(trained)) + dev_parts(config)


def read_by(config: StageConfig, task: str) -> str:
    """The task whose training data one of the stage's tasks reads: itself, or that of `inputs_of`."""
    return config.inputs_of if config.inputs_of and find_task(task).kind.any_language else task


def dev_parts(config: StageConfig) -> list[Part]:
    """Dev data by which a stage selects its weights, in the language that it trains in: of every task with a score."""
    scored = [name for name in config.tasks if find_task(name).kind.scored]
    return [Part(name, "dev", config.source_language, True) for name in scored] if config.training.dev else []


def oracle_parts(selection: Selection | None, target: str, settings: Target) -> list[Part]:
    """The target's dev data in every language, where the recipe asks for the oracle."""
    task = find_task(target)
    if selection is None or "oracle" not in selection.also or not task.kind.trainable:
        return []
    return [Part(target, "dev", language, True) for language in settings.languages or task.languages]


def scored_parts(target: str, settings: Target) -> list[Part]:
    """The target in every language, and behind these, where scoring tunes on it, its dev split in every language."""
    task = find_task(target)
    splits = (settings.split, *(["dev"] if task.kind.tunes_on_dev else []))
    return [
        Part(target, split, language, True) for split in splits for language in settings.languages or task.languages
    ]
