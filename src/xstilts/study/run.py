"""Computing a study: every stage and every evaluation that is not there yet, with other launches or alone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

from xstilts.core.atomic import sync_all
from xstilts.core.display import Display
from xstilts.distributed import dist, heartbeat
from xstilts.evaluation.rows import Provenance, Row, write_rows
from xstilts.model.config import encoder_config
from xstilts.study.graph import Leaf
from xstilts.study.journal import note
from xstilts.study.lane import Lane, Work, joined
from xstilts.study.lease import attempts
from xstilts.study.models import Models, inference
from xstilts.study.offers import Offers
from xstilts.study.open import reopened
from xstilts.study.publish import publish_predictions, publish_rows, remove_scratch
from xstilts.study.record import WEIGHTS, read_record
from xstilts.study.recording import about_study, recorded
from xstilts.study.selection import score_rules
from xstilts.study.study import Study
from xstilts.study.target_scores import ScoredModel, score_target
from xstilts.study.train_stage import train_stage
from xstilts.training.checkpoint.snapshot_files import SNAPSHOTS
from xstilts.training.loop import clean


def run_study(
    study: Study,
    overrides: Sequence[str] = (),
    on_result: Callable[[str], None] = lambda arm: None,
    report: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Trains and scores what is missing, until nothing is; returns all rows. A collective.

    Any number of launches may do so in one run directory: each takes what is ready and no other one is at. What is said
    of this one, `overrides` among it, goes into `run.json`. After every evaluation `results.jsonl` holds all rows so
    far, and rank 0 calls `on_result` with its arm. The launch that ends last calls `report`, on rank 0.
    """
    root = study.workspace.root
    encoder_config(study.recipe.model, study.catalogue.tokenizer)  # what transformers refuses is told before compute
    with joined(root, study.recipe.runtime.lease_seconds, study.digest) as lane:
        with (
            recorded(root, about_study(study), overrides, lane.id) as tell,
            Display(shown=dist.rank() == 0) as display,
        ):
            _work_off(study, lane, display, on_result)
            while not study.has_chosen:
                before, study = study.graph.choices, reopened(study)
                tell(about_study(study))
                for choice in study.graph.choices:
                    if choice.chosen is not None and choice not in before:
                        display.say(choice.line())
                _work_off(study, lane, display, on_result)
        with lane.alone("report", "study"):
            dist.on_first_rank_long_running(partial(_publish_all, study))
            if dist.on_first_rank(lane.is_last):
                dist.on_first_rank(report)
    return dist.on_first_rank(study.collect)


def _work_off(study: Study, lane: Lane, display: Display, on_result: Callable[[str], None]) -> None:
    """Does what is ready until all is scored, or a sweep can choose; a collective."""
    offers = Offers(study)
    while (work := lane.take(offers.ready)) is not None:
        display.update("study", f"{study.recipe.name}: results", offers.num_scored, len(study.graph.planned))
        with lane.until_taken_over(work):
            if not work.is_done:
                _do(study, lane, work, display, offers.num_scored + 1)
            lane.publish(work)
            if work.kind == "stage":
                dist.on_first_rank(partial(_drop_checkpoints, work.final))
            else:
                with lane.alone("publishing", "results"):
                    dist.on_first_rank_long_running(partial(_publish, study, work, on_result))


def _do(study: Study, lane: Lane, work: Work, display: Display, number: int) -> None:
    """Trains or scores; `number` is that of the next result, as rank 0 knows it."""
    for problem in dist.on_first_rank(partial(study.damage, work.folder, work.final)):
        if dist.rank() == 0:
            print(f"{problem} - made again now", flush=True)
    if work.kind == "stage":
        stage = next(stage for stage in study.graph.stages() if stage.id == work.key)
        train_stage(study, stage, work.folder, lane.is_lost, display)
    else:
        summary = _score(study, _leaves(study, work)[0], work.folder, display)
        display.say(f"result {number} of {len(study.graph.planned)}: {summary}")


def _leaves(study: Study, work: Work) -> list[Leaf]:
    """Those that an evaluation is of: arms may share it."""
    return [leaf for leaf in study.graph.leaves if study.evaluation(leaf) == work.final]


def _score(study: Study, leaf: Leaf, folder: Path, display: Display) -> str:
    """Scores a leaf from its trained weights, into `folder`, and says with what result; a collective."""
    model = Models(study.recipe.model, study.workspace, study.catalogue).end(leaf.stage, leaf.head_of)
    forward = inference(model, study.deepspeed.precision, dist.device(), study.recipe.runtime.attention)
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
    budget = study.recipe.runtime.tokens_per_micro_batch
    rows = score_target(leaf, scored, study.catalogue, budget, folder / "predictions", study.workspace.cache, display)

    others = score_rules(study, leaf, folder)

    def finish() -> None:
        sync_all(folder / "predictions")
        if others:
            write_rows(study.other_results(folder), others)
        write_rows(study.results(folder), rows)
        note(study.workspace.root, scored=name, seconds=round(seconds, 1))

    seconds = time.monotonic() - begun
    dist.on_first_rank(finish)
    primary = [row for row in rows if row.primary]
    mean = fmean(row.value for row in primary)
    where = f"{len(primary)} languages" if len(primary) > 1 else primary[0].language
    return f"{name}: {primary[0].metric} {mean:.1f} in {where}, scored in {seconds:.0f} s"


def _drop_checkpoints(stage: Path) -> None:
    """Removes what only an unfinished stage needs; by one rank."""
    heartbeat.saved(stage)  # in place of the checkpoints
    clean(stage)


def _publish(study: Study, work: Work, on_result: Callable[[str], None]) -> None:
    """Puts an evaluation where it is looked for; by one rank."""
    publish_rows(study)
    for leaf in _leaves(study, work):
        publish_predictions(study, leaf)
        on_result(leaf.arm)
    _drop_weights(study)


def _publish_all(study: Study) -> None:
    """Everything that is scored, put where it is looked for, whichever launch has scored it; by one rank."""
    for leaf in study.graph.leaves:
        publish_predictions(study, leaf)
    _drop_weights(study)
    remove_scratch(study)
    finals = [study.evaluation(leaf) for leaf in study.graph.leaves]
    finals += [study.workspace.stage(stage.id) for stage in study.graph.stages()]
    for left in (path for final in finals if final.exists() for path in attempts(final)):
        shutil.rmtree(left, ignore_errors=True)  # an owner that was taken over wrote on, and was killed
    publish_rows(study)


def _drop_weights(study: Study) -> None:
    """Removes the weights of pilots and of target stages that nothing needs any more; by one rank."""
    needed = {stage.id for leaf in study.graph.leaves if not study.scored(leaf) for stage in leaf.lineage}
    for stage in study.graph.stages():
        if stage.is_leaf and stage.id not in needed:
            folder = study.workspace.stage(stage.id)
            if not study.recipe.runtime.keep_leaf_weights:
                (folder / WEIGHTS).unlink(missing_ok=True)
            shutil.rmtree(folder / SNAPSHOTS, ignore_errors=True)
    if study.has_chosen:
        of_results = {stage.id for leaf in study.graph.leaves for stage in leaf.lineage}
        for pilot in study.graph.pilots:
            if pilot.id not in of_results:
                (study.workspace.stage(pilot.id) / WEIGHTS).unlink(missing_ok=True)
