"""Everything that a study needs from outside, fetched and tokenised ahead of it."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from rich.console import Console

from xstilts.config.recipe import Recipe
from xstilts.data.prepare import Prepared, prepare
from xstilts.data.progress import Reporter
from xstilts.errors import UserError
from xstilts.study.sources import sources_of
from xstilts.study.workspace import Workspace, open_catalogue

_MODEL_FILES = ["*.json", "*.safetensors", "*.model"]


def prepare_study(recipe: Recipe, run_dir: Path, num_workers: int, console: Console) -> list[Prepared]:
    """Fills the cache with all that the recipe reads, and the hub's with its pretrained model; the run that follows
    needs no network."""
    catalogue = open_catalogue(recipe, Workspace(run_dir))
    parts = sources_of(recipe)
    with Reporter(len(parts), console) as reporter:
        done = prepare(catalogue, parts, num_workers, reporter)
    if recipe.model.pretrained is not None and not Path(recipe.model.pretrained).is_dir():
        _fetch(recipe.model.pretrained)
    return done


def _fetch(name: str) -> None:
    try:
        snapshot_download(name, allow_patterns=_MODEL_FILES)
    except Exception as error:  # the hub client raises many unrelated types
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problem = f"model.pretrained: cannot fetch '{name}' ({reason})"
        raise UserError(f"{problem}; prepare where the hub can be reached, or give a local folder") from None
