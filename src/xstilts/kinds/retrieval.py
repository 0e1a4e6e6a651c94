"""Queries and candidates, compared by their sentence embeddings. Never trained: `nearest`, `mining` and `ranking` are
the kinds that are scored."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xstilts.kinds.base import Embed, Example, Kind
from xstilts.kinds.feature import NO_LABEL, Encoding, Feature
from xstilts.kinds.head_input import Collation, HeadArrays, TaskItems

if TYPE_CHECKING:
    from xstilts.kinds.margin import Sentences

DEPTH = 20
"""Candidates that a ranking has (LAReQA and Mewsli-X in XTREME-R: mAP@20)."""

Ids = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetrievalExample(Example):
    role: str
    """`candidate` or `query`; a reader yields all candidates before the first query."""
    text: str
    text_b: str | None = None
    """Second segment of a candidate (LAReQA: the paragraph around the sentence)."""
    relevant: Ids = ()
    """Ids of the right candidates of a query."""


class Retrieval(Kind[RetrievalExample]):
    """Predictions are candidate ids per query, best first; references are the right ones."""

    example_type = RetrievalExample
    trainable = False

    def encode(self, example: RetrievalExample, encoding: Encoding) -> Feature:
        tokens, num_cut = encoding.join(example.text, example.text_b)
        return Feature(example.id, tokens, [len(tokens)], [0], num_cut=num_cut)

    def texts(self, example: RetrievalExample) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (example.text,), (example.text_b or "", example.role)

    def classes(self, example: RetrievalExample) -> Iterator[str]:
        yield example.role

    def collate(self, items: TaskItems, tokens_L: np.ndarray, collation: Collation) -> HeadArrays:
        one_each = np.ones(len(items.features), dtype=np.int64)
        return HeadArrays(items.features.tokens.offsets, NO_LABEL * one_each, items.weights, one_each)

    def retrieve(self, examples: Sequence[RetrievalExample], embed: Embed, threshold: float | None) -> list[Ids]:
        """The `DEPTH` nearest by cosine."""
        from xstilts.kinds.search import rank

        queries, candidates = sides(examples, embed)
        nearest = rank(queries.embedding_NH, candidates.embedding_NH, DEPTH)
        return [tuple(candidates.ids[i] for i in row) for row in nearest.tolist()]

    def items(self, examples: Sequence[RetrievalExample]) -> list[RetrievalExample]:
        return [example for example in examples if example.role == "query"]

    def num_kept(self, example: Callable[[int], RetrievalExample], num_examples: int, limit: int) -> int | None:
        """All candidates and the first `limit` queries: among fewer candidates the right one would be easier to find,
        those of an aligned set, of which each belongs to one query, included."""
        num_candidates = bisect_left(range(num_examples), True, key=lambda i: example(i).role == "query")
        return min(num_candidates + limit, num_examples)

    def reference(self, example: RetrievalExample, language: str) -> Ids:
        return example.relevant

    def random_predictions(
        self,
        examples: Sequence[RetrievalExample],
        references: Sequence[Any],
        labels: Sequence[str],
        generator: np.random.Generator,
    ) -> list[Ids]:
        """The beginning of a random order of all candidates."""
        ids = [example.id for example in examples if example.role == "candidate"]
        drawn = (generator.choice(len(ids), size=min(self.num_drawn, len(ids)), replace=False) for _ in references)
        return [tuple(ids[i] for i in rows) for rows in drawn]

    num_drawn = DEPTH
    """Candidates of a random prediction."""

    def num_candidates(self, examples: Sequence[RetrievalExample]) -> int:
        return sum(example.role == "candidate" for example in examples)


def sides(examples: Sequence[RetrievalExample], embed: Embed) -> tuple[Sentences, Sentences]:
    """Queries and candidates with their embeddings."""
    roles = [example.role for example in examples]
    first = bisect_left(roles, "query")
    assert roles == ["candidate"] * first + ["query"] * (len(roles) - first), "candidates come before queries"
    return _side(examples, embed, range(first, len(roles))), _side(examples, embed, range(first))


def _side(examples: Sequence[RetrievalExample], embed: Embed, rows: range) -> Sentences:
    from xstilts.kinds.margin import Sentences

    return Sentences([examples[i].id for i in rows], [examples[i].text for i in rows], embed(rows))
