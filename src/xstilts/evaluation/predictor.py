"""Forwards of all (task, language) work shared over the ranks.

Batches are cut from lengths alone, as in training, so every number is the same on any number of ranks; ranks divide
them by cost, over all tasks and languages together, and idle ones run fillers: under ZeRO-3 a rank that runs one
forward fewer hangs the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xstilts.data.batch import Item, PackedBatch, collate
from xstilts.data.encode import Feature
from xstilts.data.packing import divide
from xstilts.data.store import FeatureSet
from xstilts.distributed import dist, heartbeat
from xstilts.evaluation.decode import decode
from xstilts.evaluation.embeddings import Embeddings, num_alike, to_first_rank
from xstilts.tasks import Kind, Task
from xstilts.text.tokenizer import Tokenizer

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
) -> list[Any]:
    """What is predicted for each work: on every rank a list with a text, label, tuple of tags or index per example; for
    retrieval `Embeddings` on rank 0, which alone ranks them, and None on the others."""
    embedded = [i for i, work in enumerate(works) if work.task.kind is Kind.RETRIEVAL]
    decoded = [i for i in range(len(works)) if i not in embedded]
    # One phase per purpose: within a phase every rank runs the same modules, whatever it is given.
    found: dict[int, Any] = {
        **_decode(works, decoded, forward, heads, tokenizer, token_budget),
        **_embed(works, embedded, forward, heads, tokenizer, token_budget),
    }
    return [found.get(i) for i in range(len(works))]


def _decode(
    works: Sequence[Work],
    chosen: Sequence[int],
    forward: Forward,
    heads: Mapping[str, Kind],
    tokenizer: Tokenizer,
    token_budget: int,
) -> dict[int, list[Any]]:
    """Number of each chosen work -> a prediction per example, on every rank."""
    shares = _divide([part for i in chosen for part in _cut(i, works[i], token_budget)], works)
    found = []
    for part, features, output in _run(shares, works, forward, "scores", heads, tokenizer):
        work = works[part.work]
        found.append((part, decode(work.task, features, output[work.head].float().cpu(), work.labels)))
    results: dict[int, list[Any]] = {i: [None] * works[i].num_examples for i in chosen}
    for of_rank in dist.gather(found):
        for part, predictions in of_rank:
            for row, prediction in zip(part.rows, predictions, strict=True):
                results[part.work][row] = prediction
    return results


def _embed(
    works: Sequence[Work],
    chosen: Sequence[int],
    forward: Forward,
    heads: Mapping[str, Kind],
    tokenizer: Tokenizer,
    token_budget: int,
) -> dict[int, Embeddings]:
    """Number of each chosen work -> its embeddings, on rank 0. The examples with which it begins like the first chosen
    work of its task are encoded there."""
    firsts = {i: next(j for j in chosen if works[j].task is works[i].task) for i in chosen}
    num_pooled = {i: _num_pooled(works[j], works[i]) for i, j in firsts.items()}
    shares = _divide([part for i in chosen for part in _cut(i, works[i], token_budget, num_pooled[i])], works)
    vectors = []
    for part, _, output_SH in _run(shares, works, forward, "embeddings", heads, tokenizer):
        assert len(output_SH) == len(part.rows), "a retrieval example is one segment"
        vectors.append(output_SH.float().cpu())
    width = vectors[0].shape[1] if vectors else 0
    shapes = [[(len(part.rows), width) for part in share] for share in shares]
    own: dict[int, np.ndarray] = {}
    parts = [part for share in shares for part in share]
    for vector_SH, part in zip(to_first_rank(vectors, shapes), parts, strict=False):
        first = num_pooled[part.work]
        if part.work not in own:
            own[part.work] = np.empty((works[part.work].num_examples - first, width), dtype=np.float32)
        own[part.work][np.array(part.rows) - first] = vector_SH.numpy()
    if dist.rank():
        return {}
    nothing = np.empty((0, width), dtype=np.float32)
    return {i: Embeddings(own[j][: num_pooled[i]], own.get(i, nothing)) for i, j in firsts.items()}


def _num_pooled(first: Work, work: Work) -> int:
    if work is first:
        return 0
    return min(num_alike(first.features, work.features), first.num_examples, work.num_examples)


def _cut(index: int, work: Work, token_budget: int, first: int = 0) -> list[_Part]:
    """Batches of like length under the token budget, longest first, of the work's examples from number `first` on; an
    example over the budget stands alone."""
    lengths = work.features.num_tokens[: work.num_examples]
    parts: list[_Part] = []
    rows: list[int] = []
    tokens = 0
    for row in first + np.argsort(-lengths[first:], kind="stable"):
        if rows and tokens + lengths[row] > token_budget:
            parts.append(_Part(index, tuple(rows)))
            rows, tokens = [], 0
        rows.append(int(row))
        tokens += int(lengths[row])
    return [*parts, _Part(index, tuple(rows))] if rows else parts


def _divide(parts: Sequence[_Part], works: Sequence[Work]) -> list[list[_Part]]:
    """The parts of each rank."""
    costs = [int(works[part.work].features.num_tokens[list(part.rows)].sum()) for part in parts]
    return [[parts[i] for i in share] for share in divide(costs, dist.world_size())]


def _run(
    shares: Sequence[Sequence[_Part]],
    works: Sequence[Work],
    forward: Forward,
    purpose: str,
    heads: Mapping[str, Kind],
    tokenizer: Tokenizer,
) -> Iterator[tuple[_Part, list[Feature], Any]]:
    """This rank's parts, their features and outputs; runs as many forwards as the busiest rank, so exhaust it."""
    mine = shares[dist.rank()]
    for part in mine:
        work = works[part.work]
        heartbeat.progress(phase=f"predicting {work.task.name} {work.language}")
        features = work.features.load(part.rows)
        yield part, features, forward(_pack(features, work.head, heads, tokenizer), purpose)
    for _ in range(max(map(len, shares)) - len(mine)):
        forward(collate([], heads, tokenizer), purpose)


def _pack(
    features: Sequence[Feature], head: str | None, heads: Mapping[str, Kind], tokenizer: Tokenizer
) -> PackedBatch:
    if head is not None:
        return collate([Item(head, feature, 0.0) for feature in features], heads, tokenizer)
    return collate([Item("", feature, 0.0) for feature in features], {**heads, "": Kind.RETRIEVAL}, tokenizer)
