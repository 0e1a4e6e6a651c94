"""Scores of a suite: per language, per task, per group of tasks, overall, averaged as XTREME averages.

A task's score is the unweighted mean over its languages, English included, of its first metric, or of the mean of
those that this one names, exact match and F1 of answers; groups and the suite are the mean over their tasks. An average
that lacks a language or a task is taken over what there is and marked incomplete; XTREME's own script prints none then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.evaluation.items import SUFFIX, ItemTable, metric_names, read_items
from xstilts.evaluation.metrics import Metric, find_metric, interval
from xstilts.kinds.files import Items
from xstilts.tasks.registry import Task, find_task
from xstilts.tasks.suites import Suite
from xstilts.xtreme.submission import path_of


@dataclass(frozen=True)
class Score:
    """One metric in one language."""

    value: float
    """Percent."""
    low: float
    high: float
    """Bootstrap interval over items, 95 %."""
    num_items: int


@dataclass(frozen=True)
class Average:
    value: float
    complete: bool
    """Whether every language and task that belongs to it is there."""


@dataclass(frozen=True)
class TaskScore:
    task: Task
    languages: Mapping[str, Mapping[str, Score]]
    """Language key -> metric -> score, in the suite's order of languages."""
    missing: tuple[str, ...]
    """Languages without predictions or labels."""

    @property
    def averages(self) -> dict[str, float]:
        """Metric -> unweighted mean over the languages."""
        names = metric_names(self.task)
        return {name: _mean([scores[name].value for scores in self.languages.values()]) for name in names}

    @property
    def score(self) -> Average:
        """What enters the averages over tasks."""
        averages = self.averages
        return Average(_mean([averages[name] for name in headline_metrics(self.task)]), not self.missing)


@dataclass(frozen=True)
class SuiteScore:
    suite: Suite
    tasks: Mapping[str, TaskScore]
    """Tasks with at least one language, in the suite's order."""
    notes: tuple[str, ...]
    """Unanswered items, unknown ids and labels, files that belong to no task of the suite."""

    @property
    def missing_tasks(self) -> tuple[str, ...]:
        return tuple(name for name in self.suite.tasks if name not in self.tasks)

    @property
    def groups(self) -> dict[str, Average]:
        """Averages of the groups of which a task is there."""
        groups = self.suite.groups.items()
        return {group: self._over(names) for group, names in groups if any(name in self.tasks for name in names)}

    @property
    def overall(self) -> Average:
        return self._over(tuple(self.suite.tasks))

    def _over(self, names: Sequence[str]) -> Average:
        scores = [self.tasks[name].score for name in names if name in self.tasks]
        complete = len(scores) == len(names) and all(score.complete for score in scores)
        return Average(_mean([score.value for score in scores]), complete)


def headline_metrics(task: Task) -> tuple[str, ...]:
    """The metrics whose mean is the task's score: exact match and F1 of answers, otherwise the primary metric."""
    return find_metric(task.metrics[0]).headline or task.metrics[:1]


def score_items(task: Task, items: Items) -> dict[str, Score]:
    """Metric -> score of one language; the same for a folder's files and for a run's predictions."""
    ids = tuple(map(str, range(len(items.references))))
    metrics = {name: find_metric(name) for name in metric_names(task)}
    tables = {name: ItemTable(ids, m.table(items.references, items.predictions)) for name, m in metrics.items()}
    return {name: _score(metrics[name], table) for name, table in tables.items()}


def score_records(suite: Suite, folder: Path) -> SuiteScore:
    """Scores every (task, language) of the suite from what its metrics summed over items when it was scored.

    Raises:
        UserError: the folder does not exist, nothing in it belongs to the suite, or a file is damaged.
    """
    tasks: dict[str, TaskScore] = {}
    for name, languages in suite.tasks.items():
        task, path = find_task(name), folder / f"{name}{SUFFIX}"
        found = read_items(path) if path.is_file() else {}
        scores = {
            language: {metric: _score(find_metric(metric), found[language][metric]) for metric in metric_names(task)}
            for language in languages
            if language in found
        }
        if scores:
            tasks[name] = TaskScore(task, scores, tuple(language for language in languages if language not in scores))
    if not tasks:
        problem = f"holds no record of {suite.title}"
        raise UserError.at(folder, None, problem, f"give RUN_DIR/items/ARM/seedS, with files like {name}{SUFFIX}")
    return SuiteScore(suite, tasks, ())


def score_folder(suite: Suite, predictions: Path, labels: Path) -> SuiteScore:
    """Scores every (task, language) of the suite that has a file in both folders.

    Raises:
        UserError: a folder does not exist, nothing in it belongs to the suite, a file is malformed, or a file of
            predictions does not match its labels in length.
    """
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise UserError.at(folder, None, "no such folder", "give the folder that holds one folder per task")
    tasks: dict[str, TaskScore] = {}
    notes: list[str] = []
    for name, languages in suite.tasks.items():
        task = find_task(name)
        scores: dict[str, dict[str, Score]] = {}
        for language in languages:
            guess_path, label_path = path_of(predictions, task, language), path_of(labels, task, language)
            if guess_path.is_file() and label_path.is_file():
                items = task.kind.read_items(guess_path, label_path, language, task.labels or ())
                notes += items.notes
                scores[language] = score_items(task, items)
        notes += _foreign_files(predictions, task, languages)
        if scores:
            tasks[name] = TaskScore(task, scores, tuple(language for language in languages if language not in scores))
    if not tasks:
        name, languages = next(iter(suite.tasks.items()))
        example = path_of(predictions, find_task(name), languages[0]).relative_to(predictions)
        problem = f"no file of {suite.title} with its labels in {labels}"
        raise UserError.at(predictions, None, problem, f"name files like {example} in both folders")
    return SuiteScore(suite, tasks, tuple(notes))


def _foreign_files(predictions: Path, task: Task, languages: Sequence[str]) -> list[str]:
    folder = predictions / task.name
    known = {path_of(predictions, task, language) for language in languages}
    strange = sorted(path for path in folder.glob("*") if path not in known) if folder.is_dir() else []
    return [f"{path}: not a file of the suite, left out" for path in strange]


def _score(metric: Metric, items: ItemTable) -> Score:
    low, high = interval(items.statistics, metric)
    return Score(items.score(metric), low, high, len(items.ids))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
