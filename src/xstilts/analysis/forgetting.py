"""What is left of an intermediate task after the stages that followed it, in its own head's score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from xstilts.analysis.figures.figure import Figure
from xstilts.analysis.figures.forest import Comparison, forest
from xstilts.analysis.runs import RunResults
from xstilts.analysis.transfer import Change
from xstilts.evaluation.rows import Row
from xstilts.tasks import find_task


def forgetting(results: Sequence[RunResults]) -> Figure | None:
    """Targets that an arm's own head predicts (`targets.TASK.head: arm`): the score at the end of each arm less that
    right after the task's stage, which is the end of the arm that stops there. None where no study has both."""
    lines = [line for each in results for line in _lines(each)]
    if not lines:
        return None
    caption = (
        "An arm's own head scored on its task again at the end of the arm, less the score right after the task: mean "
        "over languages, with the 95 % t interval over seeds. Hollow: one seed, no interval."
    )
    return forest("forgetting", "Forgetting", caption, lines)


def _lines(results: RunResults) -> Iterator[Comparison]:
    recipe: dict[str, Any] = results.run.settings.recipe if results.run else {}
    for target, settings in recipe.get("targets", {}).items():
        if settings.get("head", "own") != "arm":
            continue
        for arm, right_after in _pairs(recipe["arms"], find_task(target).trained_by):
            change = _change(results.rows, target, arm, right_after)
            if change.mean is not None:
                low, high = change.interval or (None, None)
                seeds = f"{len(change.by_seed)} seed{'' if len(change.by_seed) == 1 else 's'}"
                yield Comparison(target, f"{arm}, after {right_after}", change.mean, low, high, seeds)


def _pairs(arms: dict[str, list[Any]], task: str | None) -> Iterator[tuple[str, str]]:
    """(arm, arm that stops where this one has trained the task last) of every arm that goes on after it."""
    for arm, stages in arms.items():
        last = max((i for i, stage in enumerate(stages) if task in stage["tasks"]), default=None)
        if last is None or last == len(stages) - 1:
            continue
        before = next((other for other, theirs in arms.items() if theirs == stages[: last + 1]), None)
        if before is not None:
            yield arm, before


def _change(rows: Sequence[Row], target: str, arm: str, before: str) -> Change:
    """By seed, the mean over the languages that both are scored in."""
    mine, theirs = (
        {(row.seed, row.language): row for row in rows if row.primary and row.task == target and row.arm == name}
        for name in (arm, before)
    )
    differences: dict[int, list[float]] = {}
    for (seed, language), row in mine.items():
        other = theirs.get((seed, language))
        if other is not None and other.precision == row.precision:
            differences.setdefault(seed, []).append(row.value - other.value)
    return Change({seed: sum(values) / len(values) for seed, values in differences.items()})
