"""From what a model put out to predictions and result rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import torch

from xstilts.data.store import FeatureSet
from xstilts.distributed import dist
from xstilts.evaluation.baselines import baselines_of
from xstilts.evaluation.embeddings import Embeddings
from xstilts.evaluation.items import Tables
from xstilts.evaluation.metrics import find_metric, interval
from xstilts.evaluation.rows import Provenance, Row
from xstilts.evaluation.work import Work
from xstilts.kinds import Example
from xstilts.kinds.base import Embed

_ROWS = 1 << 16


def predictions_of(
    work: Work, examples: Sequence[Example], outputs: Any, threshold: float | None = None
) -> Sequence[Any]:
    """One prediction per scored example, for retrieval per query.

    `outputs` is what `Predictor.predict` gave for the work; `threshold` is that of the dev split (`tuned_threshold`),
    where the kind needs one.
    """
    kind = work.task.kind
    predictions: Sequence[Any] = outputs if kind.trainable else kind.retrieve(examples, _embed(outputs), threshold)
    return predictions


def rows_of(
    work: Work, examples: Sequence[Example], tables: Tables, provenance: Provenance, *, spare_cache: Path
) -> list[Row]:
    """Rows of one task and language, one per metric; `spare_cache` keeps what belongs beside the features where nothing
    can be written there."""
    references = work.task.kind.references(examples, work.language)
    baselines = baselines_of(work, examples, references, spare_cache)
    rows = []
    for name in work.task.metrics:
        metric = find_metric(name)
        table = tables[name].statistics
        low, high = interval(table, metric)
        rows.append(
            Row(
                **vars(provenance),
                task=work.task.name,
                language=work.language,
                split=work.split,
                metric=name,
                value=float(metric.value(table.sum(axis=0))),
                low=low,
                high=high,
                chance=baselines[name].chance,
                majority=baselines[name].majority,
                num_examples=len(references),
                primary=name == work.task.metrics[0],
            )
        )
    return rows


def dev_score(work: Work, predictions: Sequence[Any]) -> float:
    """The task's first metric alone, in percent."""
    references = work.task.kind.references(examples_of(work), work.language)
    return find_metric(work.task.metrics[0]).score(references, predictions)


def tuned_threshold(work: Work, embeddings: Embeddings) -> float:
    """The threshold that is best on this (dev) work."""
    return work.task.kind.tune(examples_of(work), _embed(embeddings))


def examples_of(work: Work) -> list[Example]:
    """The scored examples as the reader gave them."""
    return [work.task.kind.restore(fields) for fields in work.features.examples(slice(work.num_examples))]


def examples_of_each(works: Iterable[Work]) -> Iterator[list[Example]]:
    """`examples_of` each work. Those with which a work begins like the one before it are parsed once: Mewsli-X has a
    million candidates in each of 11 languages, the same ones."""
    before: Work | None = None
    examples: list[Example] = []
    for work in works:
        num_same = 0 if before is None or before.task is not work.task else _num_same(before.features, work.features)
        same = examples[: min(num_same, work.num_examples)]
        fields = work.features.examples(slice(len(same), work.num_examples))
        examples = [*same, *map(work.task.kind.restore, fields)]
        before = work
        yield examples


def _num_same(one: FeatureSet, other: FeatureSet) -> int:
    """How many examples at the start of both were stored as the same text."""
    limit = min(len(one), len(other))
    ours, theirs = (features.column("gold").slice(0, limit) for features in (one, other))
    for start in range(0, limit, _ROWS):
        first_unlike = pc.index(pc.equal(ours.slice(start, _ROWS), theirs.slice(start, _ROWS)), False).as_py()
        if first_unlike >= 0:
            return start + int(first_unlike)
    return limit


def _embed(embeddings: Embeddings) -> Embed:
    return lambda rows: torch.from_numpy(embeddings.take(rows)).to(dist.device())
