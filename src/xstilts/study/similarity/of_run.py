"""`train.py similarity RUN_DIR`: from what a run says of itself to the table beside its results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xstilts.config.recipe import Recipe
from xstilts.config.task_file import load_task
from xstilts.core.errors import UserError
from xstilts.study.open import open_study
from xstilts.study.provenance import RUN_FILE, read_run
from xstilts.study.similarity.measure import measure
from xstilts.study.similarity.table import Measurement, write
from xstilts.tasks.registry import register_own


def similarity_of_run(
    run_dir: Path, num_examples: int, say: Callable[[str], None]
) -> tuple[list[Measurement], list[Path]]:
    """Measures all intermediate stages on this process's device and writes the table; returns its rows and files.

    Raises:
        UserError: the directory is no run's, or none of its intermediate stages has weights.
    """
    run = read_run(run_dir)
    if run is None or run.checkpoint is not None:
        raise UserError.at(run_dir / RUN_FILE, None, "says no recipe there", "give the directory of a run")
    for file in map(Path, run.settings.recipe["tasks"]):
        register_own(load_task(file))
    recipe = Recipe.model_validate(run.settings.recipe)
    rows = measure(open_study(recipe, run_dir, device=None), num_examples, say)
    if not rows:
        raise UserError(f"{run_dir}: no intermediate stage whose weights are there; train an arm that has one")
    return rows, write(run_dir, rows)
