"""Computing a study: every stage and every evaluation that is not there yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

from xstilts.core.atomic import sync_all
from xstilts.core.display import Display
from xstilts.distributed import dist
from xstilts.evaluation.rows import Provenance, Row, write_rows
from xstilts.study.graph import Leaf
from xstilts.study.journal import note
from xstilts.study.models import Models, inference
from xstilts.study.publish import publish_predictions, publish_rows
from xstilts.study.record import WEIGHTS, read_record
from xstilts.study.recording import about_study, recorded
from xstilts.study.study import Study
from xstilts.study.target_scores import ScoredModel, score_target
from xstilts.study.train_stage import train_stage


def run_study(
    study: Study, overrides: Sequence[str] = (), on_result: Callable[[str, int], None] = lambda arm, seed: None
) -> list[Row]:
    """Trains and scores what is missing, leaf by leaf; returns all rows. A collective.

    `run.json` says what is run, and that the recipe had these `overrides`. After every leaf `results.jsonl` holds all
    rows so far, and rank 0 calls `on_result` with its arm and seed.
    """
    leaves = study.graph.leaves
    with recorded(study.workspace.root, about_study(study), overrides), Display(shown=dist.rank() == 0) as display:
        for number, leaf in enumerate(leaves):
            display.update("study", f"{study.recipe.name}: results", number, len(leaves))
            # Rank 0 alone looks at the disk, or ranks could disagree on what is there.
            if not dist.on_first_rank(partial(study.scored, leaf)):
                for stage_id in dist.on_first_rank(partial(_untrained, study, leaf)):
                    train_stage(study, next(stage for stage in study.graph.stages() if stage.id == stage_id), display)
                summary = _score(study, leaf, display)
                display.say(f"result {number + 1} of {len(leaves)}: {summary}")
                dist.on_first_rank(partial(publish_rows, study))
                dist.on_first_rank_long_running(partial(on_result, leaf.arm, leaf.seed))
                dist.on_first_rank(partial(_drop_weights, study))
            dist.on_first_rank_long_running(partial(publish_predictions, study, leaf))
        dist.on_first_rank(partial(_drop_weights, study))
        return dist.on_first_rank(partial(publish_rows, study))


def _untrained(study: Study, leaf: Leaf) -> list[str]:
    for problem in study.damage(leaf):
        print(f"{problem} - made again now", flush=True)
    lacking = [each for stage in (leaf.head_of, leaf.stage) if stage for each in study.untrained(stage)]
    return list(dict.fromkeys(stage.id for stage in lacking))


def _score(study: Study, leaf: Leaf, display: Display) -> str:
    """Scores a leaf from its trained weights, and says with what result; a collective."""
    model = Models(study.recipe.model, study.workspace, study.catalogue).end(leaf.stage, leaf.head_of)
    forward = inference(model, study.deepspeed.precision, dist.device())
    arm = ""  # several may share the weights
    if leaf.stage:
        record = read_record(study.workspace.stage(leaf.stage.id))
        provenance = replace(record.provenance(arm, leaf.stage.id), seed=leaf.seed)
        predicting = read_record(study.workspace.stage(leaf.head_of.id)) if leaf.head_of else record
        scored = ScoredModel(forward, predicting.labels, provenance)
    else:
        stage, precision = study.graph.model_id, study.deepspeed.precision
        provenance = Provenance(arm, stage, leaf.seed, str(leaf.seed), "pretrained", precision)
        scored = ScoredModel(forward, {}, provenance)
    name = f"{leaf.arm} -> {leaf.target} seed {leaf.seed}"
    begun = time.monotonic()
    if dist.rank() == 0:
        note(study.workspace.root, scoring=name, languages=len(leaf.languages))
    predictions = study.evaluation(leaf) / "predictions"
    budget = study.recipe.runtime.tokens_per_micro_batch
    rows = score_target(leaf, scored, study.catalogue, budget, predictions, study.workspace.cache, display)

    def finish() -> None:
        sync_all(predictions)
        write_rows(study.results(leaf), rows)
        note(study.workspace.root, scored=name, seconds=round(seconds, 1))

    seconds = time.monotonic() - begun
    dist.on_first_rank(finish)
    primary = [row for row in rows if row.primary]
    mean = fmean(row.value for row in primary)
    where = f"{len(primary)} languages" if len(primary) > 1 else primary[0].language
    return f"{name}: {primary[0].metric} {mean:.1f} in {where}, scored in {seconds:.0f} s"


def _drop_weights(study: Study) -> None:
    """Removes the weights of target stages that nothing needs any more; by one rank."""
    if study.recipe.runtime.keep_leaf_weights:
        return
    needed = {stage.id for leaf in study.graph.leaves if not study.scored(leaf) for stage in leaf.lineage}
    for stage in study.graph.stages():
        if stage.is_leaf and stage.id not in needed:
            (study.workspace.stage(stage.id) / WEIGHTS).unlink(missing_ok=True)
