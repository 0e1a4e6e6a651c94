"""The tasks that a run's recipe defines in files, for those who read the run and not the recipe."""

from __future__ import annotations

from pathlib import Path

from xstilts.config.task_file import load_task
from xstilts.study.provenance import Run
from xstilts.tasks.registry import register_own


def register_own_tasks(run: Run) -> None:
    """Makes them known as far as their files are still there: scores can be read without them."""
    for file in map(Path, run.settings.recipe.get("tasks", [])):
        if file.is_file():
            register_own(load_task(file))
