"""Retrieval of which the nearest candidate counts: sentences aligned with their translations (Tatoeba, NTREX-128)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.kinds.files import Items, Lines, as_lines, in_order, read_labels
from xstilts.kinds.retrieval import Ids, Retrieval, RetrievalExample


class Nearest(Retrieval):
    """Files hold the place of each query's first candidate among the candidates, one per line, the queries sorted by
    their text as XTREME sorts Tatoeba's."""

    name = "nearest"
    suffix = "tsv"

    def write_predictions(self, examples: Sequence[RetrievalExample], predictions: Sequence[Ids]) -> str:
        place = {candidate.id: i for i, candidate in enumerate(e for e in examples if e.role == "candidate")}
        pairs = sorted(zip(self.items(examples), predictions, strict=True), key=lambda pair: pair[0].text.strip())
        return as_lines(place[ids[0]] for _, ids in pairs)

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        items = in_order(_read(predictions), _read(labels), "indices")
        return Items([(right,) for right in items.references], [(guess,) for guess in items.predictions])


def _read(path: Path) -> Lines:
    lines = read_labels(path)
    for number, index in zip(lines.numbers, lines.items, strict=True):
        if not (index.isascii() and index.isdigit()):
            raise UserError.at(
                path, number, f"'{index}' is not an index", "write the candidate's line number, counted from 0"
            )
    lines.items = [int(index) for index in lines.items]
    return lines


NEAREST = Nearest()
