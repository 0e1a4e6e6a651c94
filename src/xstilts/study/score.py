"""Scoring one leaf of a study: a target in all its languages."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from xstilts.cluster import dist
from xstilts.data.catalogue import Catalogue
from xstilts.evaluation.forward import Forward, Work, predict
from xstilts.evaluation.results import Row
from xstilts.evaluation.scoring import mines, mining_threshold, score
from xstilts.study.graph import Leaf
from xstilts.tasks import Kind, Task, find_task


def works_of(leaf: Leaf, catalogue: Catalogue, split: str) -> list[Work]:
    """The target in every language."""
    task = find_task(leaf.target)
    labels = catalogue.labels(find_task(task.trained_by)) if task.trained_by else None
    works = []
    for language in leaf.languages:
        features = catalogue.scored(task, split, language)
        limit = leaf.settings.max_examples if task.kind is not Kind.RETRIEVAL else None
        works.append(Work(task, language, split, features, labels, min(limit or len(features), len(features))))
    return works


def evaluation_key(leaf: Leaf, catalogue: Catalogue, model_id: str) -> str:
    """Identifies an evaluation: the weights, and the content of everything scored."""
    task = find_task(leaf.target)
    scored = {work.language: (work.features.fingerprint, work.num_examples) for work in works_of(leaf, catalogue, leaf.settings.split)}
    identity = [leaf.stage.id if leaf.stage else model_id, task.name, task.version, task.metrics, leaf.settings.split, scored, leaf.seeds]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return f"{task.name}-{digest}"


def score_leaf(
    leaf: Leaf, catalogue: Catalogue, forward: Forward, kinds: dict[str, Kind], token_budget: int, folder: Path, *, stage: str, selection: str
) -> list[Row]:
    """Predicts and scores every language; rows on every rank, files written by rank 0. A collective."""
    task = find_task(leaf.target)
    works = works_of(leaf, catalogue, leaf.settings.split)
    tuning = works_of(leaf, catalogue, "dev") if mines(task) else []
    outputs = predict([*works, *tuning], forward, kinds, catalogue.tokenizer, token_budget)
    tuned = dict(zip((work.language for work in tuning), outputs[len(works) :], strict=True))

    def write() -> list[Row]:
        rows = []
        for work, output in zip(works, outputs, strict=False):
            dev = next((w for w in tuning if w.language == work.language), None)
            threshold = mining_threshold(dev, tuned[work.language]) if dev else None
            rows += score(work, output, folder, stage=stage, seeds=leaf.seeds, selection=selection, threshold=threshold)
        return rows

    return dist.on_first_rank(write)


def kinds_of(tasks: list[str]) -> dict[str, Kind]:
    """Kind of each head, in the model's order."""
    found: list[Task] = [find_task(name) for name in tasks]
    return {task.name: task.kind for task in found}
