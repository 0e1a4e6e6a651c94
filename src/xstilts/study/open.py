"""Opening a study: everything that can be wrong with a recipe is found here, before any training."""

from __future__ import annotations

import hashlib
from pathlib import Path

from xstilts.cluster import dist
from xstilts.config.deepspeed import DeepSpeedJson, load_deepspeed_config
from xstilts.config.recipe import Model, Recipe
from xstilts.data.loader import check_budget
from xstilts.errors import UserError
from xstilts.study.graph import build_graph
from xstilts.study.score import works_of
from xstilts.study.study import Study
from xstilts.study.workspace import Workspace, open_catalogue
from xstilts.tasks import find_task


def open_study(recipe: Recipe, run_dir: Path) -> Study:
    """Checks the recipe against its data and tokenises what is not cached. A collective: rank 0 works, others follow."""
    deepspeed = load_deepspeed_config(recipe.runtime.deepspeed)
    built: list[Study] = []

    def build() -> None:
        built.append(_build(recipe, deepspeed, Workspace(run_dir)))

    dist.on_first_rank_patiently(build)
    return built[0] if built else _build(recipe, deepspeed, Workspace(run_dir))


def _build(recipe: Recipe, deepspeed: DeepSpeedJson, workspace: Workspace) -> Study:
    catalogue = open_catalogue(recipe, workspace)
    graph = build_graph(recipe, catalogue, _model_fingerprint(recipe.model), deepspeed.precision)
    for stage in graph.stages():
        assert stage.num_steps > 0
        tasks = {name: find_task(name) for name in stage.config.tasks}
        check_budget(
            {name: catalogue.train(task, stage.config.languages) for name, task in tasks.items()},
            {name: task.kind for name, task in tasks.items()},
            recipe.runtime.tokens_per_micro_batch,
        )
    for leaf in graph.leaves:
        works_of(leaf, catalogue, {})
    return Study(recipe, deepspeed, workspace, catalogue, graph)


def _model_fingerprint(model: Model) -> str:
    """Content of a local checkpoint, name of a hub one, nothing for a model from scratch."""
    if model.pretrained is None:
        return "scratch"
    folder = Path(model.pretrained)
    if not folder.is_dir():
        return model.pretrained
    digest = hashlib.sha256()
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(
            f"model.pretrained: no *.safetensors in {folder}; convert the checkpoint, other formats are not loaded"
        )
    for path in [folder / "config.json", *files]:
        try:
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise UserError.at(
                path, None, error.strerror or str(error), "model.pretrained needs it; restore the checkpoint"
            ) from None
    return digest.hexdigest()[:16]
