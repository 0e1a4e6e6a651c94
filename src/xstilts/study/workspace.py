"""The run directory: where everything of a study lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue
from xstilts.study.graph import Stage
from xstilts.synthetic import write_world
from xstilts.text.tokenizer import Tokenizer, find_tokenizer


@dataclass(frozen=True)
class Workspace:
    """Folders of a run."""

    root: Path

    def stage(self, stage_id: str) -> Path:
        return self.root / "stages" / stage_id

    def evaluation(self, key: str) -> Path:
        """`results.jsonl`, `predictions/<task>/` and `items/<task>.parquet`; arms that share the weights share it, and
        have copies."""
        return self.root / "evaluations" / key

    def submission(self, arm: str, seed: int) -> Path:
        """One arm's predictions for every target, in XTREME's submission layout."""
        return self.root / "predictions" / arm / f"seed{seed}"

    def items(self, arm: str, seed: int) -> Path:
        """What metrics sum over the items of each target, `<task>.parquet`, of one arm."""
        return self.root / "items" / arm / f"seed{seed}"

    @property
    def labels(self) -> Path:
        """What all predictions of the run are scored against, in the same layout."""
        return self.root / "labels"

    @property
    def cache(self) -> Path:
        """Tokenised features, unless the recipe names a folder for them; then what cannot be written there."""
        return self.root / "cache"

    @property
    def rankings(self) -> Path:
        """How hard reference stages found the training examples, `<stage>-<measure>-<digest>.jsonl`."""
        return self.root / "rankings"

    def tensorboard(self, stage: Stage) -> Path:
        return self.root / "tensorboard" / "stages" / f"{stage.label}-seed{stage.seed}-{stage.id}"

    @property
    def world(self) -> Path:
        return self.root / "world"

    @property
    def results(self) -> Path:
        return self.root / "results.jsonl"

    def make(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the run directory {self.root} ({error.strerror}); give another --run-dir"
            ) from None


def open_catalogue(recipe: Recipe, workspace: Workspace, kind: type[Catalogue] = Catalogue) -> Catalogue:
    """The study's data; generates the artificial world first where the recipe asks for one. Run by one rank first."""
    workspace.make()
    root = recipe.data.root
    if recipe.data.world is not None:
        root = workspace.world
        settings = recipe.data.world.model_dump_json()
        marker = root / "world.json"
        if not marker.exists() or marker.read_text(encoding="utf-8") != settings:
            write_world(recipe.data.world, root)
            marker.write_text(settings, encoding="utf-8")
    cache = recipe.data.cache or workspace.cache
    tokenizer = Tokenizer(find_tokenizer(recipe.model.tokenizer, recipe.model.pretrained, root), cache)
    return kind(recipe.data, root, cache, tokenizer)
