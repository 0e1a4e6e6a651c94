"""A study that is finished: what `run` says of it, in place of starting what would find that nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xstilts.config.recipe import Recipe
    from xstilts.study.study import Study


def say_if_finished(recipe: Recipe, run_dir: Path) -> bool:
    """Whether nothing is left to do in the run directory, and says so; by one process, without what trains."""
    from xstilts.study.finished import was_finished
    from xstilts.study.open import open_with_others

    if not was_finished(recipe, run_dir):
        return False
    return say_if_nothing_is_left(open_with_others(recipe, run_dir, device=None))


def say_if_nothing_is_left(study: Study) -> bool:
    """The same of a study that is open."""
    from xstilts.analysis.places import is_current, overview, pages
    from xstilts.core.entrypoint import program_name
    from xstilts.study.finished import is_finished

    run_dir = study.workspace.root
    if not is_current(run_dir) or not is_finished(study):
        return False
    html, markdown = pages(run_dir)
    print(f"{study.recipe.name}: nothing is left to do, {len(study.graph.planned)} results are there")
    print(f"report: {html}, {markdown}; 'python {program_name()} report {run_dir}' shows it")
    print(f"tensorboard --logdir {overview(run_dir)}", flush=True)
    return True
