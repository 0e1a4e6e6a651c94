"""Retrieval of which the whole ranking counts (LAReQA, Mewsli-X)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from xstilts.kinds.files import Items, as_document, by_id, read_mapping
from xstilts.kinds.retrieval import Ids, Retrieval, RetrievalExample


class Ranking(Retrieval):
    """Files are JSON: query id -> candidate ids, best first; in labels the right ones. This is Mewsli-X's form; for
    LAReQA XTREME's script knows none."""

    name = "ranking"
    suffix = "json"

    def write_predictions(self, examples: Sequence[RetrievalExample], predictions: Sequence[Ids]) -> str:
        return as_document({q.id: list(ids) for q, ids in zip(self.items(examples), predictions, strict=True)})

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        references, ranked = (
            {id_: tuple(ids) for id_, ids in read_mapping(path, list).items()} for path in (labels, predictions)
        )
        return by_id(references, ranked, predictions)


RANKING = Ranking()
