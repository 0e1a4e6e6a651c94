"""Forwards of all (task, language) work shared over the ranks.

Batches are cut from lengths alone, as in training, so every number is the same on any number of ranks; ranks divide
them by cost, over all tasks and languages together, and idle ones run fillers: under ZeRO-3 a rank that runs one
forward fewer hangs the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from xstilts.cluster import dist, heartbeat
from xstilts.data.batch import Item, PackedBatch, collate
from xstilts.data.encode import Feature
from xstilts.data.packing import divide
from xstilts.data.store import FeatureSet
from xstilts.data.tokenizer import Tokenizer
from xstilts.evaluation.decode import decode
from xstilts.tasks import Kind, Task

Forward = Callable[[PackedBatch, str], Any]
"""(batch, purpose) -> what `MultiTaskModel.forward` gives for it, without dropout."""


@dataclass(frozen=True)
class Work:
    """One task in one language to be predicted."""

    task: Task
    language: str
    split: str
    features: FeatureSet
    labels: tuple[str, ...] | None
    """Label set of the head, in its order."""
    num_examples: int
    """The first so many are scored."""

    @property
    def head(self) -> str | None:
        """Task whose head predicts it; None for retrieval, which reads embeddings."""
        return None if self.task.kind is Kind.RETRIEVAL else self.task.trained_by


@dataclass(frozen=True)
class _Part:
    work: int
    rows: tuple[int, ...]


def predict(
    works: Sequence[Work], forward: Forward, heads: Mapping[str, Kind], tokenizer: Tokenizer, token_budget: int
) -> list[list[Any]]:
    """A prediction for every example of every work, on every rank: text, label, tags, index or embedding [H]."""
    results: list[list[Any]] = [[None] * work.num_examples for work in works]
    # One phase per purpose: within a phase every rank runs the same modules, whatever it is given.
    for purpose, retrieval in (("scores", False), ("embeddings", True)):
        chosen = [i for i, work in enumerate(works) if (work.task.kind is Kind.RETRIEVAL) is retrieval]
        parts = [part for i in chosen for part in _cut(i, works[i], token_budget)]
        for found in dist.gather(_run(parts, works, forward, purpose, heads, tokenizer)):
            for work, row, prediction in found:
                results[work][row] = prediction
    return results


def _cut(index: int, work: Work, token_budget: int) -> list[_Part]:
    """Batches of like length under the token budget, longest first; an example over the budget stands alone."""
    lengths = work.features.num_tokens[: work.num_examples]
    parts: list[_Part] = []
    rows: list[int] = []
    tokens = 0
    for row in np.argsort(-lengths, kind="stable"):
        if rows and tokens + lengths[row] > token_budget:
            parts.append(_Part(index, tuple(rows)))
            rows, tokens = [], 0
        rows.append(int(row))
        tokens += int(lengths[row])
    return [*parts, _Part(index, tuple(rows))] if rows else parts


def _run(
    parts: Sequence[_Part],
    works: Sequence[Work],
    forward: Forward,
    purpose: str,
    heads: Mapping[str, Kind],
    tokenizer: Tokenizer,
) -> list[tuple[int, int, Any]]:
    costs = [int(works[part.work].features.num_tokens[list(part.rows)].sum()) for part in parts]
    mine = divide(costs, dist.world_size())[dist.rank()]
    num_forwards = -(-len(parts) // dist.world_size())
    found: list[tuple[int, int, Any]] = []
    for part in [parts[i] for i in mine]:
        work = works[part.work]
        heartbeat.progress(phase=f"predicting {work.task.name} {work.language}")
        features = work.features.load(part.rows)
        if work.head is None:
            output = forward(_pack(features, None, heads, tokenizer), purpose)
            predictions = _mean_by_example(output, features)
        else:
            output = forward(_pack(features, work.head, heads, tokenizer), purpose)
            predictions = decode(work.task, features, output[work.head].float().cpu(), work.labels)
        found += [(part.work, row, prediction) for row, prediction in zip(part.rows, predictions, strict=True)]
    for _ in range(num_forwards - len(mine)):
        forward(collate([], heads, tokenizer), purpose)
    return found


def _pack(
    features: Sequence[Feature], head: str | None, heads: Mapping[str, Kind], tokenizer: Tokenizer
) -> PackedBatch:
    if head is not None:
        return collate([Item(head, feature, 0.0) for feature in features], heads, tokenizer)
    return collate([Item("", feature, 0.0) for feature in features], {**heads, "": Kind.RETRIEVAL}, tokenizer)


def _mean_by_example(embeddings_SH: torch.Tensor, features: Sequence[Feature]) -> list[np.ndarray]:
    assert len(embeddings_SH) == len(features), "a retrieval example is one segment"
    return list(embeddings_SH.float().cpu().numpy())
