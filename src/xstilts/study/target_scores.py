"""Scoring a target in all its languages."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.atomic import replace_folder, scratch_beside
from xstilts.core.display import Display
from xstilts.data.catalogue import Catalogue
from xstilts.distributed import dist
from xstilts.evaluation.items import SUFFIX, Tables, tables_of, write_items
from xstilts.evaluation.predictor import Forward, Predictor
from xstilts.evaluation.results import examples_of_each, predictions_of, rows_of, tuned_threshold
from xstilts.evaluation.rows import Provenance, Row
from xstilts.study.graph import Leaf
from xstilts.study.works import content_digest, kinds_of, works_of
from xstilts.tasks import Task
from xstilts.xtreme.submission import write_labels, write_predictions

ITEMS = "items"
"""Folder, beside that of predictions, of what metrics sum over items (`evaluation.items`)."""
_CONTENT = ".content"
"""File beside a target's labels that says which data they are of."""


@dataclass(frozen=True)
class ScoredModel:
    """A model that is scored, and what rows say of it."""

    forward: Forward
    labels: Mapping[str, Sequence[str] | None]
    """Task of each of its heads, in the model's order -> label set in head order; None for kinds without one."""
    provenance: Provenance


def score_target(
    leaf: Leaf,
    model: ScoredModel,
    catalogue: Catalogue,
    token_budget: int,
    predictions: Path,
    spare_cache: Path,
    display: Display | None = None,
) -> list[Row]:
    """Rows of every language, on every rank; rank 0 writes predictions in XTREME's layout, and beside their folder what
    each metric sums over items. A collective.

    `spare_cache` keeps what belongs beside the features where nothing can be written there.
    """
    works = works_of(leaf, catalogue, model.labels)
    screen = display or Display(shown=False)

    def show(task: Task, done: int, total: int) -> None:
        screen.update("scoring", f"scoring {task.name}", done, total)

    predictor = Predictor(model.forward, kinds_of(model.labels), catalogue.tokenizer, token_budget, show)
    outputs = predictor.predict(works)
    screen.remove("scoring")
    num_scored = len(leaf.languages)

    def write() -> list[Row]:
        tuned = zip(works[num_scored:], outputs[num_scored:], strict=True)
        thresholds = {}
        for work, output in tuned:
            thresholds[work.language] = tuned_threshold(work, output)
            dist.progress()
        rows = []
        items: dict[str, Tables] = {}
        scored = works[:num_scored]
        for work, examples, output in zip(scored, examples_of_each(scored), outputs[:num_scored], strict=True):
            found = predictions_of(work, examples, output, thresholds.get(work.language))
            write_predictions(predictions, work.task, work.language, examples, found, split=work.split)
            items[work.language] = tables = tables_of(work, examples, found)
            rows += rows_of(work, examples, tables, model.provenance, spare_cache=spare_cache)
            dist.progress()
        write_items(predictions.with_name(ITEMS) / f"{leaf.target}{SUFFIX}", items)
        return rows

    return dist.on_first_rank_long_running(write)


def write_target_labels(leaf: Leaf, catalogue: Catalogue, labels: Path) -> None:
    """Writes what the target's predictions are scored against below the folder `labels`, in XTREME's layout, unless
    the labels of this very data are there."""
    works = works_of(leaf, catalogue, {})[: len(leaf.languages)]
    folder, content = labels / leaf.target, content_digest(works)
    marker = folder / _CONTENT
    if marker.exists() and marker.read_text(encoding="utf-8") == content:
        return
    scratch = scratch_beside(folder)
    shutil.rmtree(scratch, ignore_errors=True)
    for work, examples in zip(works, examples_of_each(works), strict=True):
        write_labels(scratch, work.task, work.language, examples, split=work.split)
        dist.progress()
    (scratch / leaf.target / _CONTENT).write_text(content, encoding="utf-8")
    replace_folder(folder, scratch / leaf.target)
    shutil.rmtree(scratch, ignore_errors=True)
