"""Rankings that reference stages have left in the run directory, and what stages train on by them."""

from __future__ import annotations

from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue
from xstilts.data.store import FeatureSet
from xstilts.measures.subsets import Ranking
from xstilts.study.graph import Stage
from xstilts.study.stage_data import Measured, read_ranking, training_features
from xstilts.study.workspace import Workspace
from xstilts.tasks import find_task


def stage_features(
    catalogue: Catalogue, workspace: Workspace, stage: Stage, *, planned: bool = False
) -> dict[str, FeatureSet]:
    """Task -> what the stage trains on, in its order. `planned`: where its examples are not ranked yet, as many others
    stand for them.

    Raises:
        UserError: the ranking by which it is chosen is not there, or damaged.
    """
    measured = None
    if stage.reference:
        unknown = planned and stored(workspace, stage) is None
        measured = Measured(stage.reference.id, None if unknown else stored_ranking(catalogue, workspace, stage))
    return training_features(catalogue, stage.config, stage.randomness, measured)


def stored_ranking(catalogue: Catalogue, workspace: Workspace, stage: Stage) -> Ranking:
    """The ranking by the stage's reference.

    Raises:
        UserError: it is not there, or not what was written.
    """
    path = stored(workspace, stage)
    if path is None:
        problem = f"the ranking by its reference stage is not in {workspace.rankings}"
        raise UserError(f"stage {stage.label} ({stage.id}): {problem}; run the recipe, which trains that first")
    ranking = read_ranking(path, all_examples(catalogue, stage))
    if path.stem.rsplit("-", 1)[-1] != ranking.digest:
        raise UserError.at(path, None, f"damaged: it now has the digest {ranking.digest}", "bring the file back")
    return ranking


def stored(workspace: Workspace, stage: Stage) -> Path | None:
    """The file of the ranking by the stage's reference; None where there is none yet.

    Raises:
        UserError: there are several, and they differ.
    """
    found = sorted(workspace.rankings.glob(f"{_prefix(stage)}-*.jsonl"))
    if len(found) > 1:
        digests = " and ".join(path.stem.rsplit("-", 1)[-1] for path in found)
        problem = f"two rankings of one reference stage, {digests}"
        raise UserError.at(workspace.rankings, None, problem, "keep the one by which the stages were trained")
    return found[0] if found else None


def path_of(workspace: Workspace, stage: Stage, digest: str) -> Path:
    """Where the ranking of this digest by the stage's reference lies."""
    return workspace.rankings / f"{_prefix(stage)}-{digest}.jsonl"


def all_examples(catalogue: Catalogue, stage: Stage) -> FeatureSet:
    """The examples of the stage's one task, of which it trains on a part."""
    (name,) = stage.config.tasks
    return catalogue.train(find_task(name), stage.config.languages_of(name))


def _prefix(stage: Stage) -> str:
    assert stage.reference is not None and stage.config.subset is not None
    return f"{stage.reference.id}-{stage.config.subset.by}"
