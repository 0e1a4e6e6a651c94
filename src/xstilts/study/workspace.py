"""The run directory: where everything of a study lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from xstilts.config.recipe import Recipe
from xstilts.data.catalogue import Catalogue
from xstilts.data.tokenizer import Tokenizer, find_tokenizer
from xstilts.world import write_world


@dataclass(frozen=True)
class Workspace:
    """Folders of a run."""

    root: Path

    def stage(self, stage_id: str) -> Path:
        return self.root / "stages" / stage_id

    def evaluation(self, key: str) -> Path:
        return self.root / "evaluations" / key

    def tensorboard(self, label: str, seed: int) -> Path:
        return self.root / "tensorboard" / f"{label}-seed{seed}"

    @property
    def world(self) -> Path:
        return self.root / "world"

    @property
    def results(self) -> Path:
        return self.root / "results.jsonl"


def open_catalogue(recipe: Recipe, workspace: Workspace) -> Catalogue:
    """The study's data; generates the artificial world first where the recipe asks for one. Run by one rank first."""
    root = recipe.data.root
    if recipe.data.world is not None:
        root = workspace.world
        settings = recipe.data.world.model_dump_json()
        marker = root / "world.json"
        if not marker.exists() or marker.read_text(encoding="utf-8") != settings:
            write_world(recipe.data.world, root)
            marker.write_text(settings, encoding="utf-8")
    tokenizer = Tokenizer(find_tokenizer(recipe.model.tokenizer, recipe.model.pretrained, root))
    return Catalogue(recipe.data, root, recipe.data.cache or workspace.root / "cache", tokenizer)


def write_json(path: Path, value: object) -> None:
    """Writes a small JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=1), encoding="utf-8")
    temporary.replace(path)
