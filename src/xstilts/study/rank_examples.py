"""Ranking a task's examples by the visits of a reference stage: once for a run directory, and checked ever after."""

from __future__ import annotations

import json

import numpy as np

from xstilts.core.atomic import write_whole
from xstilts.core.errors import UserError
from xstilts.measures.hardness import Measure, hardness
from xstilts.measures.subsets import Ranking, rank
from xstilts.measures.task_visits import visits_of
from xstilts.measures.visits import read_visits
from xstilts.study.graph import Stage
from xstilts.study.ranking import all_examples, path_of, stored, stored_ranking
from xstilts.study.record import has_record, read_record
from xstilts.study.stage_data import TIES, read_ranking
from xstilts.study.study import Study
from xstilts.tasks import find_task


def ranking_of(study: Study, stage: Stage) -> str | None:
    """The digest of the ranking by which the stage's examples are chosen, which is stored where it was not yet; None
    where it trains on all, or on a random part. By one rank, before the stage is trained.

    Raises:
        UserError: the examples are ranked otherwise here than where the stage, or one like it, was trained.
    """
    subset = stage.config.subset
    if subset is None or (subset.ranking is None and stage.reference is None):
        return None
    if subset.ranking is not None:
        return read_ranking(subset.ranking, all_examples(study.catalogue, stage)).digest
    assert stage.reference is not None and subset.reference is not None
    known = {} if subset.reference.digest is None else {"subset.reference.digest": subset.reference.digest}
    if stored(study.workspace, stage) is not None:
        known[str(study.workspace.rankings)] = stored_ranking(study.catalogue, study.workspace, stage).digest
    for other in study.graph.stages():
        if other.reference and other.reference.id == stage.reference.id and _measure(other) == subset.by:
            folder = study.workspace.stage(other.id)
            if has_record(folder) and (digest := read_record(folder).ranking) is not None:
                known[str(folder)] = digest
    measured = _measured(study, stage)
    digest = measured[0].digest if measured else known[str(study.workspace.rankings)]
    for place, other_digest in known.items():
        if other_digest != digest:
            problem = (
                f"{place} has the ranking {other_digest}, and {stage.reference.label} ranks by {subset.by} here as"
            )
            remedy = "bring the rankings file along with the stages, or train all of them here"
            raise UserError(f"stage {stage.label}: {problem} {digest}; {remedy}")
    if measured and stored(study.workspace, stage) is None:
        ranking, values = measured
        lines = (json.dumps({"id": id_, "hardness": values[id_]}, ensure_ascii=False) for id_ in ranking.ids)
        write_whole(path_of(study.workspace, stage, digest), "".join(line + "\n" for line in lines).encode())
    return digest


def _measured(study: Study, stage: Stage) -> tuple[Ranking, dict[str, float]] | None:
    """The ranking by the visits of the reference stage, and the measures; None where the stage is not there, but its
    ranking is."""
    assert stage.reference is not None
    folder = study.workspace.stage(stage.reference.id)
    if not has_record(folder) and stored(study.workspace, stage) is not None:
        return None
    record = read_record(folder)
    if record.num_visits is None:
        raise UserError.at(folder, None, "has no whole record of its visits", "remove the folder and launch again")
    (task,) = stage.config.tasks
    features = all_examples(study.catalogue, stage)
    ids = features.column("id").to_pylist()
    null_bits = None
    if _measure(stage) == "v_information":
        bits = find_task(task).kind.null_bits(features.load(range(len(features))))
        assert bits is not None, "every kind with labels has a null model"
        null_bits = dict(zip(ids, np.asarray(bits).tolist(), strict=True))
    visits = visits_of(read_visits(folder / "visits", record.num_steps), task)
    values = hardness(visits, _measure(stage), ids, null_bits)
    return rank(values, TIES), values


def _measure(stage: Stage) -> Measure:
    assert stage.config.subset is not None
    return stage.config.subset.by
