"""Everything that a study needs from outside, fetched and tokenised ahead of it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from xstilts.config.recipe import Recipe
from xstilts.data.prepare import Prepared, prepare
from xstilts.data.progress import Reporter
from xstilts.model.pretrained import local_folder
from xstilts.study.sources import check_sources, sources_of
from xstilts.study.workspace import Workspace, open_catalogue


def fetch_study(recipe: Recipe, run_dir: Path, num_workers: int, console: Console) -> list[Prepared]:
    """Fills the cache with all that the recipe reads, and the hub's with its pretrained model; the run that follows
    needs no network."""
    catalogue = open_catalogue(recipe, Workspace(run_dir))
    check_sources(recipe, catalogue)
    parts = sources_of(recipe)
    with Reporter(len(parts), console) as reporter:
        done = prepare(catalogue, parts, num_workers, reporter)
    if recipe.model.pretrained is not None:
        local_folder(recipe.model.pretrained)
    return done
