"""Scoring one trained stage, of this run or of another, on what its heads can predict."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.distributed import dist
from xstilts.evaluation.rows import write_rows
from xstilts.study.graph import Leaf
from xstilts.study.models import inference, load_trained
from xstilts.study.record import WEIGHTS, Record, read_record
from xstilts.study.score import Scored, score_leaf
from xstilts.study.study import Study
from xstilts.tasks import find_task

ARM = "checkpoint"
"""Stands for the arm in the rows."""


def evaluate_stage(study: Study, folder: Path) -> Path:
    """Scores the stage in `folder` on the recipe's targets and returns the folder with `results.jsonl` and predictions.

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
    model = load_trained(folder, record, study.catalogue.tokenizer)
    forward = inference(model, study.deepspeed.precision, dist.device())
    digest = dist.on_first_rank(lambda: _digest(path))
    scored = Scored(forward, record.labels, digest, record.seed, record.seeds, record.selection, record.precision)
    target_folder = study.workspace.evaluation(f"{ARM}-{digest}")
    dist.on_first_rank(lambda: shutil.rmtree(target_folder / "predictions", ignore_errors=True))
    rows = []
    for leaf in _targets(study, folder, record):
        budget = study.recipe.runtime.tokens_per_micro_batch
        predictions = target_folder / "predictions"
        rows += score_leaf(leaf, scored, study.catalogue, budget, predictions, study.workspace.labels)
    dist.on_first_rank(lambda: write_rows(target_folder / "results.jsonl", [replace(row, arm=ARM) for row in rows]))
    return target_folder


def _targets(study: Study, folder: Path, record: Record) -> list[Leaf]:
    """One leaf of every target that the stage's heads can predict; the others are named on the screen."""
    able = []
    for leaf in {leaf.target: leaf for leaf in study.graph.leaves}.values():
        task = find_task(leaf.target)
        if task.trained_by is None or task.trained_by in record.tasks:
            able.append(leaf)
        elif dist.rank() == 0:
            heads = ", ".join(record.tasks)
            print(
                f"left out: {leaf.target}, predicted by the head of {task.trained_by}; this stage has {heads}",
                flush=True,
            )
    if not able:
        needed = ", ".join(sorted({find_task(leaf.target).trained_by or "" for leaf in study.graph.leaves}))
        raise UserError.at(
            folder, None, "no target of the recipe can be scored", f"give a stage that trained one of: {needed}"
        )
    return able


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
