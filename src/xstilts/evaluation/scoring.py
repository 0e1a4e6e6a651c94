"""From predictions to result rows and submission files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from xstilts.core.errors import UserError
from xstilts.data.encode import restore
from xstilts.distributed import dist
from xstilts.evaluation.embeddings import Embeddings
from xstilts.evaluation.metrics import find_metric, interval
from xstilts.evaluation.metrics.retrieval import DEPTH
from xstilts.evaluation.mining import Sentences, extract, mine, tune_threshold
from xstilts.evaluation.predictor import Work
from xstilts.evaluation.references import golds
from xstilts.evaluation.rows import Provenance, Row
from xstilts.evaluation.search import rank
from xstilts.evaluation.trivial import trivial_scores
from xstilts.tasks import Example, Kind, RetrievalExample, Task
from xstilts.xtreme.submission import write_predictions


def score(
    work: Work,
    outputs: Any,
    predictions_folder: Path,
    provenance: Provenance,
    *,
    spare_cache: Path,
    threshold: float | None = None,
) -> list[Row]:
    """Rows of one task and language, one per metric; writes the predictions in XTREME's submission layout.

    `outputs` is what `predict` gave for the work; `threshold` cuts the mined pairs of BUCC: `mining_threshold` of the
    dev split. `spare_cache` keeps what belongs beside the features where nothing can be written there.
    """
    examples = examples_of(work)
    predictions = _ranked(work, examples, outputs, threshold) if work.task.kind is Kind.RETRIEVAL else outputs
    write_predictions(predictions_folder, work.task, work.language, examples, predictions, split=work.split)
    truths = golds(examples, work.language)
    trivial = trivial_scores(work, examples, truths, spare_cache)
    rows = []
    for name in work.task.metrics:
        metric = find_metric(name)
        table = metric.table(truths, predictions)
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
                chance=trivial[name].chance,
                majority=trivial[name].majority,
                num_examples=len(truths),
                primary=name == work.task.metrics[0],
            )
        )
    return rows


def primary_score(work: Work, outputs: Sequence[Any]) -> float:
    """The task's first metric alone, in percent."""
    return find_metric(work.task.metrics[0]).score(golds(examples_of(work), work.language), outputs)


def examples_of(work: Work) -> list[Example]:
    """The scored examples as the reader gave them."""
    # Their tokens stay on disk: a million candidates' would take gigabytes.
    golds = work.features.rows.select_columns("gold")[: work.num_examples]["gold"]
    if not all(golds):
        raise UserError(f"{work.features.path} holds no golds; remove it and launch again")
    return [restore(work.task.kind, json.loads(gold)) for gold in golds]


def mines(task: Task) -> bool:
    """Whether the task is mining, which needs a threshold from its dev split."""
    return task.metrics[0] == "mining_f1"


def mining_threshold(work: Work, embeddings: Embeddings) -> float:
    """The threshold that is best on this (dev) work."""
    examples = examples_of(work)
    gold = {(e.id, target) for e in examples if isinstance(e, RetrievalExample) for target in e.relevant}
    return tune_threshold(mine(*_sides(examples, embeddings)), gold)


def _ranked(
    work: Work, examples: Sequence[Example], embeddings: Embeddings, threshold: float | None
) -> list[tuple[str, ...]]:
    """Candidate ids per query: the nearest, best first, or those mined."""
    query, candidate = _sides(examples, embeddings)
    if mines(work.task):
        assert threshold is not None, "mining needs the dev split's threshold"
        pairs = extract(mine(query, candidate), threshold)
        mined: dict[str, list[str]] = {}
        for source, target in sorted(pairs):
            mined.setdefault(source, []).append(target)
        return [tuple(mined.get(name, ())) for name in query.ids]
    nearest = rank(query.embedding_NH, candidate.embedding_NH, DEPTH)
    return [tuple(candidate.ids[i] for i in row) for row in nearest.tolist()]


def _sides(examples: Sequence[Example], embeddings: Embeddings) -> tuple[Sentences, Sentences]:
    return _side(examples, embeddings, "query"), _side(examples, embeddings, "candidate")


def _side(examples: Sequence[Example], embeddings: Embeddings, role: str) -> Sentences:
    chosen = [(i, e) for i, e in enumerate(examples) if isinstance(e, RetrievalExample) and e.role == role]
    embedding_NH = torch.from_numpy(embeddings.take([i for i, _ in chosen])).to(dist.device())
    return Sentences([e.id for _, e in chosen], [e.text for _, e in chosen], embedding_NH)
