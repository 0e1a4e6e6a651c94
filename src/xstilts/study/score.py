"""Scoring a target in all its languages."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xstilts.data.catalogue import Catalogue
from xstilts.distributed import dist
from xstilts.evaluation.predictor import Forward, Work, predict
from xstilts.evaluation.rows import Row
from xstilts.evaluation.scoring import mining_threshold, score
from xstilts.study.graph import Leaf
from xstilts.study.sources import scored_parts
from xstilts.tasks import Kind, find_task


@dataclass(frozen=True)
class Scored:
    """A model that is scored, and what rows say of it."""

    forward: Forward
    labels: Mapping[str, Sequence[str] | None]
    """Task of each of its heads, in the model's order -> label set in head order; None for kinds without one."""
    stage: str
    """Id of the stage that trained it."""
    seed: int
    """The study's seed."""
    seeds: str
    """Seed of every stage from first to last, joined by `-`."""
    selection: str
    """How its weights were chosen."""
    precision: str
    """What they were trained in."""


def works_of(leaf: Leaf, catalogue: Catalogue, labels: Mapping[str, Sequence[str] | None]) -> list[Work]:
    """The target in every language, and behind these, where scoring tunes on it, its dev split in every language.

    `labels` are those of the heads; without that of the target nothing can be decoded.
    """
    task = find_task(leaf.target)
    head_labels = labels.get(task.trained_by or "")
    works = []
    for part in scored_parts(leaf.target, leaf.settings):
        features = catalogue.open(part)
        limit = leaf.settings.max_examples if task.kind is not Kind.RETRIEVAL else None
        num_examples = min(limit or len(features), len(features))
        works.append(
            Work(task, part.language, part.split, features, tuple(head_labels) if head_labels else None, num_examples)
        )
    return works


def evaluation_key(leaf: Leaf, catalogue: Catalogue, model_id: str) -> str:
    """Identifies an evaluation: the weights, and the content of everything scored."""
    task = find_task(leaf.target)
    scored = [
        (work.split, work.language, work.features.fingerprint, work.num_examples)
        for work in works_of(leaf, catalogue, {})
    ]
    weights = leaf.stage.id if leaf.stage else model_id
    identity = [weights, leaf.seed, task.name, task.version, task.metrics, leaf.settings.split, scored]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
    return f"{task.name}-{digest}"


def score_leaf(
    leaf: Leaf, scored: Scored, catalogue: Catalogue, token_budget: int, predictions: Path, labels: Path
) -> list[Row]:
    """Rows of every language, on every rank; rank 0 writes files in XTREME's layout. A collective."""
    works = works_of(leaf, catalogue, scored.labels)
    outputs = predict(works, scored.forward, kinds_of(scored.labels), catalogue.tokenizer, token_budget)
    num_scored = len(leaf.languages)

    def write() -> list[Row]:
        tuned = zip(works[num_scored:], outputs[num_scored:], strict=True)
        thresholds = {}
        for work, output in tuned:
            thresholds[work.language] = mining_threshold(work, output)
            dist.progress()
        rows = []
        for work, output in zip(works[:num_scored], outputs, strict=False):
            found = score(
                work,
                output,
                predictions,
                labels,
                stage=scored.stage,
                seed=scored.seed,
                seeds=scored.seeds,
                selection=scored.selection,
                threshold=thresholds.get(work.language),
            )
            rows += [replace(row, precision=scored.precision) for row in found]
            dist.progress()
        return rows

    return dist.on_first_rank_long_running(write)


def publish(predictions: Path, task: str, submission: Path) -> None:
    """Makes the predictions of a task part of a submission, by a link; several submissions may share them."""
    submission.mkdir(parents=True, exist_ok=True)
    link, temporary = submission / task, submission / f".{task}.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(predictions / task, submission))
    temporary.replace(link)


def kinds_of(tasks: Iterable[str]) -> dict[str, Kind]:
    """Kind of each head, in the model's order."""
    return {name: find_task(name).kind for name in tasks}
