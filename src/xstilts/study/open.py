"""Opening a study: everything that can be wrong with a recipe is found here, before any training."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from xstilts.config.deepspeed import DeepSpeedJson, load_deepspeed_config
from xstilts.config.recipe import Recipe
from xstilts.config.target import Target
from xstilts.core.checksum import Checksums
from xstilts.core.digests import digest_of_json
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue, Part
from xstilts.data.steps import check_budget
from xstilts.data.store import FeatureSet
from xstilts.distributed import dist
from xstilts.model.fields import shape_of
from xstilts.model.pretrained import NOT_FETCHED, fingerprint, identity_in_plan, local_folder
from xstilts.study.build_graph import build_graph
from xstilts.study.computation import check_computation
from xstilts.study.graph import Stage
from xstilts.study.lane import joined
from xstilts.study.record import has_record, read_record
from xstilts.study.software import source_digest
from xstilts.study.sources import check_sources, oracle_parts
from xstilts.study.stage_data import training_features
from xstilts.study.study import Study
from xstilts.study.works import works_of
from xstilts.study.workspace import Workspace, open_catalogue
from xstilts.tasks import find_task
from xstilts.training.monitors.trackers import check_trackers


def open_with_others(recipe: Recipe, run_dir: Path, *, device: str | None) -> Study:
    """`open_study` for a study that is computed on `device`, None where it is only looked at, while other launches may
    do the same: one after the other, since the first one makes the data that the others find."""
    deepspeed = _deepspeed(recipe, device)
    workspace = Workspace(run_dir)
    dist.on_first_rank(workspace.make)
    with joined(run_dir, recipe.runtime.lease_seconds) as lane, lane.alone("opening", "data"):
        return _open(recipe, deepspeed, workspace)


def planned_study(recipe: Recipe, run_dir: Path) -> Study:
    """`open_study` to say what would run: weights of a released model that are not here are not fetched for it."""
    return _open(recipe, _deepspeed(recipe, None), Workspace(run_dir), planned=True)


def open_study(recipe: Recipe, run_dir: Path, *, device: str | None) -> Study:
    """Checks the recipe against its data and tokenises what is not cached; a collective, rank 0 works, others follow.

    `device` is what the study is to be computed on, None if that is not known yet.
    """
    return _open(recipe, _deepspeed(recipe, device), Workspace(run_dir))


def _deepspeed(recipe: Recipe, device: str | None) -> DeepSpeedJson:
    deepspeed = load_deepspeed_config(recipe.runtime.deepspeed)
    if device is not None:
        deepspeed.check_device(device)
    check_computation(recipe, deepspeed, device)
    check_trackers(recipe.runtime.trackers)
    _check_agreement(recipe, deepspeed)
    return deepspeed


def reopened(study: Study) -> Study:
    """The study as it is after pilots of its sweeps were trained; a collective. Their data is there already."""
    return _open(study.recipe, study.deepspeed, study.workspace)


def _open(recipe: Recipe, deepspeed: DeepSpeedJson, workspace: Workspace, *, planned: bool = False) -> Study:
    model_id = _pretrained_fingerprint(recipe, workspace, planned=planned)
    built: list[Study] = []

    def build() -> dict[str, float | None]:
        seen: dict[str, float | None] = {}
        built.append(_build(recipe, deepspeed, workspace, model_id, lambda id_: _dev_score(workspace, id_, seen)))
        return seen

    # Rank 0 alone looks for scores, or ranks could choose differently.
    seen = dist.on_first_rank_long_running(build)
    return built[0] if built else _build(recipe, deepspeed, workspace, model_id, lambda id_: seen[id_])


def _dev_score(workspace: Workspace, stage_id: str, seen: dict[str, float | None]) -> float | None:
    """The English dev score of a pilot, None of one that is not trained; as it was `seen` before, for that of arms that
    share it may come meanwhile."""
    if stage_id not in seen:
        folder = workspace.stage(stage_id)
        record = read_record(folder) if has_record(folder) else None
        assert record is None or record.dev_score is not None
        seen[stage_id] = record.dev_score if record else None
    return seen[stage_id]


def _check_agreement(recipe: Recipe, deepspeed: DeepSpeedJson) -> None:
    """An error on all ranks unless all were given the same: other stages, or micro-batches cut otherwise, would leave
    them waiting for each other."""
    own = {
        "recipe": digest_of_json(recipe.model_dump(mode="json")),
        "DeepSpeed file": digest_of_json(deepspeed.values),
        "source of xstilts": source_digest(),
    }
    ranks = dist.gather((socket.gethostname(), own))
    for what in own:
        first_host, first = ranks[0]
        odd = [f"{rank} (host {host})" for rank, (host, theirs) in enumerate(ranks) if theirs[what] != first[what]]
        if odd:
            named = ", ".join(odd[:4]) + (f" and {len(odd) - 4} more" if len(odd) > 4 else "")
            raise UserError(
                f"the {what} of rank {named} is not that of rank 0 (host {first_host}); give every host the same"
            )


def _pretrained_fingerprint(recipe: Recipe, workspace: Workspace, *, planned: bool = False) -> str:
    """The identity of the weights that the study starts from, read once per host, and checked to be the same on all."""
    name = recipe.model.pretrained
    if name is None:
        return "scratch"
    checksums = Checksums((recipe.data.cache or workspace.cache) / "checksums")
    if planned:
        return identity_in_plan(name, checksums)
    own = dist.on_first_rank_of_each_host(
        lambda: fingerprint(local_folder(name, dist.progress), checksums, dist.progress)
    )
    (first_host, first), *others = dist.gather((socket.gethostname(), own))
    if odd := next((host for host, theirs in others if theirs != first), None):
        raise UserError(
            f"model.pretrained: '{name}' holds other weights on host {odd} than on {first_host}; copy it there anew"
        )
    return own


def _build(
    recipe: Recipe,
    deepspeed: DeepSpeedJson,
    workspace: Workspace,
    model_id: str,
    dev_score: Callable[[str], float | None],
) -> Study:
    catalogue = open_catalogue(recipe, workspace, _Watched)
    dist.progress()
    check_sources(recipe, catalogue)
    shape = shape_of(recipe.model, catalogue.tokenizer)
    reach = shape.longest_segment
    if recipe.data.max_length is not None and recipe.data.max_length > reach:
        raise UserError(f"data.max_length is {recipe.data.max_length}, but the model reaches {reach} tokens; lower it")
    graph = build_graph(recipe, catalogue, model_id, deepspeed.precision, dev_score)
    for stage in {stage.id: stage for stage in (*graph.stages(), *graph.planned_stages())}.values():
        assert stage.num_steps > 0
        # Which examples a reference stage will choose is not known: all of them must fit.
        whole = stage.config.model_copy(update={"subset": None}) if stage.reference else stage.config
        features = training_features(catalogue, whole, stage.randomness)
        kinds = {name: find_task(name).kind for name in stage.config.tasks}
        check_budget(features, kinds, recipe.runtime.tokens_per_micro_batch)
        _check_reach(features.values(), reach)
        _check_width(stage, shape.hidden_size)
    for leaf in graph.planned:
        _check_reach((work.features for work in works_of(leaf, catalogue, {})), reach)
    for target, settings in recipe.targets.items():
        _check_reach(_oracle_features(recipe, target, settings, catalogue), reach)
    return Study(recipe, deepspeed, workspace, catalogue, graph, weights_are_here=model_id != NOT_FETCHED)


def _check_width(stage: Stage, hidden_size: int) -> None:
    width = stage.config.trainable.bottleneck
    if width is not None and width >= hidden_size:
        problem = f"stage '{stage.label}': trainable.bottleneck is {width}, and the model is {hidden_size} wide"
        raise UserError(f"{problem}; give less, or the adapters are no bottleneck")


def _oracle_features(recipe: Recipe, target: str, settings: Target, catalogue: Catalogue) -> list[FeatureSet]:
    try:
        return [catalogue.open(part) for part in oracle_parts(recipe.selection, target, settings)]
    except UserError as error:
        raise UserError(f"selection.also: oracle reads dev data in every language that is scored: {error}") from None


class _Watched(Catalogue):
    """Lets the ranks that wait see every example that is tokenised, and every part that is opened."""

    def open(self, part: Part, on_row: Callable[[], None] = dist.progress) -> FeatureSet:
        features = super().open(part, on_row)
        dist.progress()
        return features


def _check_reach(features: Iterable[FeatureSet], reach: int) -> None:
    for stored in features:
        if stored.longest_segment > reach:
            raise UserError(
                f"{stored.path.name} has a segment of {stored.longest_segment} tokens, but the model reaches {reach}; "
                f"set data.max_length to {reach}"
            )
