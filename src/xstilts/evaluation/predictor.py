"""Forwards of all (task, language) work shared over the ranks.

Batches are cut from lengths alone, as in training, so every number is the same on any number of ranks. All languages of
a task are cut together: twenty small test sets are no twenty batches half full. Ranks divide the batches by cost, and
idle ones run fillers: under ZeRO-3 a rank that runs one forward fewer hangs the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from xstilts.core.out_of_memory import out_of_memory_at, smaller_batches
from xstilts.data.batch import PackedBatch, collate
from xstilts.data.packing import divide
from xstilts.distributed import dist, heartbeat
from xstilts.evaluation.embeddings import Embeddings, num_alike, to_first_rank
from xstilts.evaluation.work import Work
from xstilts.kinds import Kind
from xstilts.kinds.feature import Feature
from xstilts.kinds.head_input import Collation, TaskItems
from xstilts.tasks import Task
from xstilts.text.tokenizer import Tokenizer

Forward = Callable[[PackedBatch, str], Any]
"""(batch, purpose) -> what `MultiTaskModel.forward` gives for it, without dropout."""


@dataclass(frozen=True)
class EvalBatch:
    """Examples of one task that are predicted by one forward."""

    works: np.ndarray
    """Number of the work of each, int64."""
    rows: np.ndarray
    """Number of each in its work, int64."""

    def of_works(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each work that it has examples of, and which of the batch's these are."""
        for i in np.unique(self.works).tolist():
            yield i, np.flatnonzero(self.works == i)


@dataclass(frozen=True)
class Predictor:
    """A model that predicts: what runs it, and what its batches are made with."""

    forward: Forward
    kinds: Mapping[str, Kind[Any]]
    """Task of each of its heads, in the model's order -> kind."""
    tokenizer: Tokenizer
    token_budget: int
    """Tokens of a batch at most, unless one example alone has more."""
    on_batch: Callable[[Task, int, int], None] = lambda task, done, total: None
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
        shares = _divide(_cut(dict.fromkeys(chosen, 0), works, self.token_budget), works)
        found = []
        for batch, features, output in self._run(shares, works, "logits"):
            work = works[batch.works[0]]
            logits = output[work.head(self.kinds)].float().cpu()
            found.append((batch, work.task.kind.decode(features, logits, work.labels)))
        results: dict[int, list[Any]] = {i: [None] * works[i].num_examples for i in chosen}
        for of_rank in dist.gather(found):
            for batch, predictions in of_rank:
                for i, row, prediction in zip(batch.works.tolist(), batch.rows.tolist(), predictions, strict=True):
                    results[i][row] = prediction
        return results

    def _embed(self, works: Sequence[Work], chosen: Sequence[int]) -> dict[int, Embeddings]:
        """Number of each chosen work -> its embeddings, on rank 0. The examples with which it begins like the first
        chosen work of its task are encoded there."""
        firsts = {i: next(j for j in chosen if works[j].task is works[i].task) for i in chosen}
        num_pooled = {i: _num_pooled(works[j], works[i]) for i, j in firsts.items()}
        shares = _divide(_cut(num_pooled, works, self.token_budget), works)
        vectors = []
        for batch, _, output_SH in self._run(shares, works, "embeddings"):
            assert len(output_SH) == len(batch.rows), "a retrieval example is one segment"
            vectors.append(output_SH.float().cpu())
        width = vectors[0].shape[1] if vectors else 0
        shapes = [[(len(batch.rows), width) for batch in share] for share in shares]
        sizes = {i: works[i].num_examples - num_pooled[i] for i in chosen} if dist.rank() == 0 else {}
        own = {i: np.empty((size, width), dtype=np.float32) for i, size in sizes.items()}
        batches = [batch for share in shares for batch in share]
        for vector_SH, batch in zip(to_first_rank(vectors, shapes), batches, strict=False):
            for i, here in batch.of_works():
                own[i][batch.rows[here] - num_pooled[i]] = vector_SH.numpy()[here]
        if dist.rank():
            return {}
        return {i: Embeddings(own[j][: num_pooled[i]], own[i]) for i, j in firsts.items()}

    def _run(
        self, shares: Sequence[Sequence[EvalBatch]], works: Sequence[Work], purpose: str
    ) -> Iterator[tuple[EvalBatch, list[Feature], Any]]:
        """This rank's batches, their features and outputs; runs as many forwards as the busiest rank, so exhaust it."""
        mine = shares[dist.rank()]
        with ThreadPoolExecutor(max_workers=1) as pool:  # reads the next batch while this one is computed
            ahead = pool.submit(self._read, mine[0], works) if mine else None
            for done, batch in enumerate(mine):
                task = works[batch.works[0]].task
                self.on_batch(task, done, len(mine))
                heartbeat.progress(phase=f"predicting {task.name}")
                assert ahead is not None
                features, packed = ahead.result()
                ahead = pool.submit(self._read, mine[done + 1], works) if done + 1 < len(mine) else None
                what = f"predicting {task.name}, batch of {sum(packed.lengths_S):,} tokens"
                with out_of_memory_at(what, smaller_batches(sum(packed.lengths_S), training=False)):
                    output = self.forward(packed, purpose)
                yield batch, features, output
        for _ in range(max(map(len, shares)) - len(mine)):
            self.forward(collate([], self.kinds, Collation(self.tokenizer)), purpose)

    def _read(self, batch: EvalBatch, works: Sequence[Work]) -> tuple[list[Feature], PackedBatch]:
        """A batch's features, and these packed."""
        found: dict[int, Feature] = {}
        for i, here in batch.of_works():
            found |= zip(here.tolist(), works[i].features.load(batch.rows[here].tolist()), strict=True)
        features = [found[place] for place in range(len(batch.rows))]
        work = works[batch.works[0]]
        head = work.head(self.kinds)
        kinds = self.kinds if work.task.kind.trainable else {**self.kinds, head: work.task.kind}
        return features, collate([TaskItems.of(head, features)], kinds, Collation(self.tokenizer))


def _num_pooled(first: Work, work: Work) -> int:
    if work is first:
        return 0
    return min(num_alike(first.features, work.features), first.num_examples, work.num_examples)


def _cut(firsts: Mapping[int, int], works: Sequence[Work], token_budget: int) -> list[EvalBatch]:
    """Batches of like length under the token budget, each of one task's works, longest first; an example over the
    budget stands alone. `firsts`: number of each work that is cut -> the example from which on it is."""
    tasks: dict[str, list[int]] = {}
    for i in firsts:
        tasks.setdefault(works[i].task.name, []).append(i)
    batches: list[EvalBatch] = []
    for chosen in tasks.values():
        numbers, rows, lengths = (
            np.concatenate(parts) for parts in zip(*(_rows_from(firsts[i], i, works[i]) for i in chosen), strict=True)
        )
        order = np.argsort(-lengths, kind="stable")
        first, tokens = 0, 0
        for n, length in enumerate(lengths[order].tolist()):
            if n > first and tokens + length > token_budget:
                batches.append(EvalBatch(numbers[order[first:n]], rows[order[first:n]]))
                first, tokens = n, 0
            tokens += length
        if first < len(order):
            batches.append(EvalBatch(numbers[order[first:]], rows[order[first:]]))
    return batches


def _rows_from(first: int, number: int, work: Work) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the work's scored examples from the first on: the work's number, theirs in it, and their tokens; int64."""
    rows = np.arange(first, work.num_examples)
    return np.full_like(rows, number), rows, work.features.num_tokens[rows].astype(np.int64)


def _divide(batches: Sequence[EvalBatch], works: Sequence[Work]) -> list[list[EvalBatch]]:
    """The batches of each rank."""
    costs = [
        sum(int(works[i].features.num_tokens[batch.rows[here]].sum()) for i, here in batch.of_works())
        for batch in batches
    ]
    return [[batches[i] for i in share] for share in divide(costs, dist.world_size())]
