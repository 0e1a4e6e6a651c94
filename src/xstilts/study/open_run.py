"""Opening the study of a run directory, whose recipe it holds itself."""

from __future__ import annotations

from pathlib import Path

from xstilts.config.recipe import Recipe
from xstilts.config.task_file import load_task
from xstilts.core.errors import UserError
from xstilts.study.open import open_study
from xstilts.study.provenance import RUN_FILE, read_run
from xstilts.study.study import Study
from xstilts.tasks.registry import register_own


def open_run(run_dir: Path) -> Study:
    """The study that a run computes, to be read; a collective.

    Raises:
        UserError: the directory is no run's, or its data are not where they were.
    """
    run = read_run(run_dir)
    if run is None or run.checkpoint is not None:
        raise UserError.at(run_dir / RUN_FILE, None, "says no recipe there", "give the directory of a run")
    for file in map(Path, run.settings.recipe["tasks"]):
        register_own(load_task(file))
    return open_study(Recipe.model_validate(run.settings.recipe), run_dir, device=None)
