"""Scoring one trained stage, of this run or of another, on what its heads can predict."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.distributed import dist
from xstilts.evaluation.rows import write_rows
from xstilts.evaluation.work import head_of
from xstilts.study.graph import Leaf
from xstilts.study.lane import joined
from xstilts.study.models import count_parameters, inference, load_trained
from xstilts.study.provenance import Expected
from xstilts.study.record import WEIGHTS, Record, read_record
from xstilts.study.recording import about, recorded
from xstilts.study.study import Study
from xstilts.study.target_scores import ScoredModel, score_target, write_target_labels
from xstilts.tasks import find_task

ARM = "checkpoint"
"""Stands for the arm in the rows."""


def evaluate_stage(study: Study, folder: Path, overrides: Sequence[str] = ()) -> Path:
    """Scores the stage in `folder` on the recipe's targets; returns the folder with `results.jsonl`, predictions, the
    labels that these are scored against, and a `run.json` of its own.

    Says which targets it leaves out for want of a head. Any stage folder serves: `RUN_DIR/stages/ID`, whose weights a
    run keeps unless the stage trained for a target (`runtime.keep_leaf_weights` keeps those too). A collective.
    """
    record = read_record(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError.at(
            path, None, "the stage's weights are not there", "train it with runtime.keep_leaf_weights=true"
        )
    if record.tokenizer != study.catalogue.tokenizer.fingerprint:
        raise UserError.at(
            folder, None, "the stage was trained with another tokenizer", "set model.tokenizer to that one"
        )
    trained_in, computed_in = record.origin.precision, study.deepspeed.precision
    if trained_in != computed_in:
        problem = f"the stage was trained in {trained_in}, and runtime.deepspeed computes in {computed_in}"
        raise UserError.at(folder, None, problem, f"give a DeepSpeed file in {trained_in}")
    model = load_trained(folder, record, study.catalogue.tokenizer)
    forward = inference(model, study.deepspeed.precision, dist.device(), study.recipe.runtime.attention)
    digest = dist.on_first_rank(lambda: _digest(path))
    scored = ScoredModel(forward, record.labels, record.provenance(ARM, digest))
    target_folder = study.workspace.evaluation(f"{ARM}-{digest}")
    predictions = target_folder / "predictions"
    budget = study.recipe.runtime.tokens_per_micro_batch
    leaves = _targets(study, folder, record)
    languages = {leaf.target: list(leaf.languages) for leaf in leaves}
    expected = Expected(arms=[ARM], targets=languages, seeds=[record.seed])
    title = f"{study.recipe.title or study.recipe.name}: {record.label}"
    size = count_parameters(model)
    told = about(study, expected, size, title=title, baseline=ARM, checkpoint=asdict(record.origin))
    silence = study.recipe.runtime.lease_seconds
    with (
        joined(study.workspace.root, silence) as lane,
        lane.alone("evaluation", target_folder.name),
        recorded(target_folder, told, overrides, lane.id),
    ):
        dist.on_first_rank(lambda: shutil.rmtree(predictions, ignore_errors=True))
        rows = []
        for leaf in leaves:
            rows += score_target(leaf, scored, study.catalogue, budget, predictions, study.workspace.cache)
            write_labels = partial(write_target_labels, leaf, study.catalogue, target_folder / "labels")
            dist.on_first_rank_long_running(write_labels)
        dist.on_first_rank(lambda: write_rows(target_folder / "results.jsonl", rows))
    return target_folder


def _targets(study: Study, folder: Path, record: Record) -> list[Leaf]:
    """One leaf of every target that the stage's heads can predict; the others are named on the screen."""
    able = []
    for leaf in {leaf.target: leaf for leaf in study.graph.planned}.values():
        task = find_task(leaf.target)
        if task.trained_by is None or head_of(task, record.tasks) in record.tasks:
            able.append(leaf)
        elif dist.rank() == 0:
            heads = ", ".join(record.tasks)
            print(
                f"left out: {leaf.target}, predicted by the head of {task.trained_by}; this stage has {heads}",
                flush=True,
            )
    if not able:
        needed = ", ".join(sorted({find_task(leaf.target).trained_by or "" for leaf in study.graph.planned}))
        raise UserError.at(
            folder, None, "no target of the recipe can be scored", f"give a stage that trained one of: {needed}"
        )
    return able


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
