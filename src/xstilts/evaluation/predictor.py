"""Forwards of all (task, language) work shared over the ranks.

Batches are cut from lengths alone, as in training, so every number is the same on any number of ranks; ranks divide
them by cost, over all tasks and languages together, and idle ones run fillers: under ZeRO-3 a rank that runs one
forward fewer hangs the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from xstilts.data.batch import PackedBatch, collate
from xstilts.data.packing import divide
from xstilts.data.store import FeatureSet
from xstilts.distributed import dist, heartbeat
from xstilts.evaluation.embeddings import Embeddings, num_alike, to_first_rank
from xstilts.kinds import Kind
from xstilts.kinds.feature import Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.tasks import Task
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

    def head(self, heads: Collection[str]) -> str:
        """Which of a model's heads predicts it: its own, else that of the task which trains it; its own name where the
        kind has no head and reads embeddings."""
        return head_of(self.task, heads) or self.task.name


def head_of(task: Task, heads: Collection[str]) -> str | None:
    """Task whose head predicts another's examples, where heads of these tasks are there; None for retrieval."""
    return task.name if task.name in heads else task.trained_by


@dataclass(frozen=True)
class EvalBatch:
    """Examples of one work that are predicted by one forward."""

    work: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Predictor:
    """A model that predicts: what runs it, and what its batches are made with."""

    forward: Forward
    kinds: Mapping[str, Kind[Any]]
    """Task of each of its heads, in the model's order -> kind."""
    tokenizer: Tokenizer
    token_budget: int
    """Tokens of a batch at most, unless one example alone has more."""
    on_batch: Callable[[Work, int, int], None] = lambda work, done, total: None
    """Is called before each of this rank's batches: how many of how many are done."""

    def predict(self, works: Sequence[Work]) -> list[Any]:
        """What is predicted for each work: on every rank a list with a text, label, tuple of tags or index per example;
        for kinds without a head `Embeddings` on rank 0, which alone ranks them, and None on the others. A collective.
        """
        embedded = [i for i, work in enumerate(works) if not work.task.kind.trainable]
        decoded = [i for i in range(len(works)) if i not in embedded]
        # One phase per purpose: within a phase every rank runs the same modules, whatever it is given.
        found: dict[int, Any] = {**self._decode(works, decoded), **self._embed(works, embedded)}
        return [found.get(i) for i in range(len(works))]

    def _decode(self, works: Sequence[Work], chosen: Sequence[int]) -> dict[int, list[Any]]:
        """Number of each chosen work -> a prediction per example, on every rank."""
        shares = _divide([batch for i in chosen for batch in _cut(i, works[i], self.token_budget)], works)
        found = []
        for batch, features, output in self._run(shares, works, "logits"):
            work = works[batch.work]
            logits = output[work.head(self.kinds)].float().cpu()
            found.append((batch, work.task.kind.decode(features, logits, work.labels)))
        results: dict[int, list[Any]] = {i: [None] * works[i].num_examples for i in chosen}
        for of_rank in dist.gather(found):
            for batch, predictions in of_rank:
                for row, prediction in zip(batch.rows, predictions, strict=True):
                    results[batch.work][row] = prediction
        return results

    def _embed(self, works: Sequence[Work], chosen: Sequence[int]) -> dict[int, Embeddings]:
        """Number of each chosen work -> its embeddings, on rank 0. The examples with which it begins like the first
        chosen work of its task are encoded there."""
        firsts = {i: next(j for j in chosen if works[j].task is works[i].task) for i in chosen}
        num_pooled = {i: _num_pooled(works[j], works[i]) for i, j in firsts.items()}
        batches = [batch for i in chosen for batch in _cut(i, works[i], self.token_budget, num_pooled[i])]
        shares = _divide(batches, works)
        vectors = []
        for batch, _, output_SH in self._run(shares, works, "embeddings"):
            assert len(output_SH) == len(batch.rows), "a retrieval example is one segment"
            vectors.append(output_SH.float().cpu())
        width = vectors[0].shape[1] if vectors else 0
        shapes = [[(len(batch.rows), width) for batch in share] for share in shares]
        own: dict[int, np.ndarray] = {}
        batches = [batch for share in shares for batch in share]
        for vector_SH, batch in zip(to_first_rank(vectors, shapes), batches, strict=False):
            first = num_pooled[batch.work]
            if batch.work not in own:
                own[batch.work] = np.empty((works[batch.work].num_examples - first, width), dtype=np.float32)
            own[batch.work][np.array(batch.rows) - first] = vector_SH.numpy()
        if dist.rank():
            return {}
        nothing = np.empty((0, width), dtype=np.float32)
        return {i: Embeddings(own[j][: num_pooled[i]], own.get(i, nothing)) for i, j in firsts.items()}

    def _run(
        self, shares: Sequence[Sequence[EvalBatch]], works: Sequence[Work], purpose: str
    ) -> Iterator[tuple[EvalBatch, list[Feature], Any]]:
        """This rank's batches, their features and outputs; runs as many forwards as the busiest rank, so exhaust it."""
        mine = shares[dist.rank()]
        with ThreadPoolExecutor(max_workers=1) as pool:  # reads the next batch while this one is computed
            ahead = pool.submit(self._read, mine[0], works) if mine else None
            for done, batch in enumerate(mine):
                work = works[batch.work]
                self.on_batch(work, done, len(mine))
                heartbeat.progress(phase=f"predicting {work.task.name} {work.language}")
                assert ahead is not None
                features, packed = ahead.result()
                ahead = pool.submit(self._read, mine[done + 1], works) if done + 1 < len(mine) else None
                yield batch, features, self.forward(packed, purpose)
        for _ in range(max(map(len, shares)) - len(mine)):
            self.forward(collate([], self.kinds, Collation(self.tokenizer)), purpose)

    def _read(self, batch: EvalBatch, works: Sequence[Work]) -> tuple[list[Feature], PackedBatch]:
        """A batch's features, and these packed."""
        work = works[batch.work]
        features = work.features.load(batch.rows)
        head = work.head(self.kinds)
        kinds = self.kinds if work.task.kind.trainable else {**self.kinds, head: work.task.kind}
        return features, collate([TaskItems.of(head, features)], kinds, Collation(self.tokenizer))


def _num_pooled(first: Work, work: Work) -> int:
    if work is first:
        return 0
    return min(num_alike(first.features, work.features), first.num_examples, work.num_examples)


def _cut(index: int, work: Work, token_budget: int, first: int = 0) -> list[EvalBatch]:
    """Batches of like length under the token budget, longest first, of the work's examples from number `first` on; an
    example over the budget stands alone."""
    lengths = work.features.num_tokens[: work.num_examples]
    batches: list[EvalBatch] = []
    rows: list[int] = []
    tokens = 0
    for row in first + np.argsort(-lengths[first:], kind="stable"):
        if rows and tokens + lengths[row] > token_budget:
            batches.append(EvalBatch(index, tuple(rows)))
            rows, tokens = [], 0
        rows.append(int(row))
        tokens += int(lengths[row])
    return [*batches, EvalBatch(index, tuple(rows))] if rows else batches


def _divide(batches: Sequence[EvalBatch], works: Sequence[Work]) -> list[list[EvalBatch]]:
    """The batches of each rank."""
    costs = [int(works[batch.work].features.num_tokens[list(batch.rows)].sum()) for batch in batches]
    return [[batches[i] for i in share] for share in divide(costs, dist.world_size())]
