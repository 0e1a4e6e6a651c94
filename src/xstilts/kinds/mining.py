"""Retrieval of pairs hidden in two collections (BUCC): most queries have no right candidate."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.core.reading import read_lines
from xstilts.kinds.base import Embed
from xstilts.kinds.files import Items, as_lines
from xstilts.kinds.retrieval import Ids, Retrieval, RetrievalExample, sides


class Mining(Retrieval):
    """Predictions are the mined candidates of each query, none for most. Files hold one pair of ids per line."""

    name = "mining"
    suffix = "tsv"
    tunes_on_dev = True
    num_drawn = 1

    def retrieve(self, examples: Sequence[RetrievalExample], embed: Embed, threshold: float | None) -> list[Ids]:
        """The pairs whose margin reaches the threshold."""
        from xstilts.kinds.margin import extract, mine

        assert threshold is not None, "mining needs the dev split's threshold"
        queries, candidates = sides(examples, embed)
        mined: dict[str, list[str]] = {}
        for source, target in sorted(extract(mine(queries, candidates), threshold)):
            mined.setdefault(source, []).append(target)
        return [tuple(mined.get(id_, ())) for id_ in queries.ids]

    def tune(self, examples: Sequence[RetrievalExample], embed: Embed) -> float:
        from xstilts.kinds.margin import mine, tune_threshold

        right = {(query.id, target) for query in self.items(examples) for target in query.relevant}
        return tune_threshold(mine(*sides(examples, embed)), right)

    def num_kept(self, example: Callable[[int], RetrievalExample], num_examples: int, limit: int) -> int | None:
        """None: a sentence competes with all others of its side, and the threshold is tuned for whole collections."""
        return None

    def write_predictions(self, examples: Sequence[RetrievalExample], predictions: Sequence[Ids]) -> str:
        pairs = zip(self.items(examples), predictions, strict=True)
        return as_lines(f"{query.id}\t{target}" for query, mined in pairs for target in mined)

    def read_items(self, predictions: Path, labels: Path, language: str, vocabulary: Collection[str]) -> Items:
        return Items(*pairs_by_source(_read(labels), _read(predictions)))


def pairs_by_source(right: Iterable[tuple[str, str]], mined: Iterable[tuple[str, str]]) -> tuple[list[Ids], list[Ids]]:
    """Pairs of (source id, target id) -> true and mined targets of every source that has any, sorted by source.

    Repeated pairs count once.
    """
    columns: list[dict[str, set[str]]] = [{}, {}]
    for column, pairs in zip(columns, (right, mined), strict=True):
        for source, target in pairs:
            column.setdefault(source, set()).add(target)
    sources = sorted(columns[0].keys() | columns[1].keys())
    references, predictions = ([tuple(sorted(column.get(source, ()))) for source in sources] for column in columns)
    return references, predictions


def _read(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in read_lines(path):
        ids = line.strip().split("\t")
        if len(ids) != 2:
            raise UserError.at(
                path, number, f"{len(ids)} columns where a pair of ids was expected", "write 'id<TAB>id' per line"
            )
        yield ids[0], ids[1]


MINING = Mining()
