"""What scoring a target reads, and what its result is known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue
from xstilts.data.store import FeatureSet
from xstilts.evaluation.metrics import find_metric
from xstilts.evaluation.work import Work, head_of
from xstilts.kinds import Example, Kind
from xstilts.study.graph import Leaf
from xstilts.study.sources import scored_parts
from xstilts.tasks import Task, find_task


def works_of(leaf: Leaf, catalogue: Catalogue, labels: Mapping[str, Sequence[str] | None]) -> list[Work]:
    """The target in every language, and behind these, where scoring tunes on it, its dev split in every language.

    `labels` are those of the heads; without that of the target nothing can be decoded.
    """
    task = find_task(leaf.target)
    head_labels = labels.get(head_of(task, labels) or "")
    works = []
    for part in scored_parts(leaf.target, leaf.settings):
        features = catalogue.open(part)
        num_examples = _num_examples(task, features, leaf.settings.max_examples)
        works.append(
            Work(task, part.language, part.split, features, tuple(head_labels) if head_labels else None, num_examples)
        )
    return works


def _num_examples(task: Task, features: FeatureSet, limit: int | None) -> int:
    """How many examples are scored where `targets.TASK.max_examples` is `limit`."""
    if limit is None:
        return len(features)

    def example(row: int) -> Example:
        (fields,) = features.examples(slice(row, row + 1))
        return task.kind.restore(fields)

    kept = task.kind.num_kept(example, len(features), limit)
    if kept is None:
        problem = f"targets.{task.name}.max_examples: no part of its collections can be scored by itself"
        raise UserError(f"{problem}; drop the option")
    return kept


def evaluation_key(leaf: Leaf, catalogue: Catalogue, model_id: str, precision: str) -> str:
    """Identifies an evaluation: the weights, what they are computed in, and the content of everything scored."""
    task = find_task(leaf.target)
    weights = leaf.stage.id if leaf.stage else model_id
    identity = [weights, precision, leaf.seed, task.name, task.version, _metrics(task), leaf.settings.split]
    return f"{task.name}-{_digest([*identity, _content(works_of(leaf, catalogue, {}))])}"


def _metrics(task: Task) -> list[str]:
    """Names of the task's metrics, with their version from the second on."""
    metrics = map(find_metric, task.metrics)
    return [metric.name if metric.version == 1 else f"{metric.name} {metric.version}" for metric in metrics]


def kinds_of(tasks: Iterable[str]) -> dict[str, Kind[Any]]:
    """Kind of each head, in the model's order."""
    return {name: find_task(name).kind for name in tasks}


def content_digest(works: Iterable[Work]) -> str:
    """What is scored, of which data."""
    return _digest(_content(works))


def _content(works: Iterable[Work]) -> list[tuple[str, str, str, int]]:
    return [(work.split, work.language, work.features.fingerprint, work.num_examples) for work in works]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
