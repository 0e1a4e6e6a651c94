"""What each metric sums over items, kept with a result: scores, paired differences and bootstraps without a second
scoring. One compressed Parquet file for a task, all its languages and metrics in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.core.atomic import write_whole
from xstilts.core.errors import UserError
from xstilts.evaluation.metrics import Metric, find_metric
from xstilts.evaluation.work import Work
from xstilts.kinds import Example
from xstilts.tasks.registry import Task

SUFFIX = ".parquet"
_SCHEMA = pa.schema(
    [
        ("language", pa.dictionary(pa.int16(), pa.string())),
        ("metric", pa.dictionary(pa.int16(), pa.string())),
        ("id", pa.string()),
        ("statistics", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class ItemTable:
    """One metric in one language."""

    ids: tuple[str, ...]
    """Of each item, in the order of the data."""
    statistics: np.ndarray
    """float64 [n, k]: what the metric sums (`Metric.statistics`)."""

    def score(self, metric: Metric) -> float:
        """Percent; the very number of the result."""
        return float(metric.value(self.statistics.sum(axis=0))) if len(self.ids) else 0.0


Tables = Mapping[str, ItemTable]
"""Metric -> its table in one language."""


def metric_names(task: Task) -> tuple[str, ...]:
    """The task's metrics, with precision and recall behind the F1s of which XTREME's script prints them."""
    return tuple(dict.fromkeys(found for name in task.metrics for found in (name, *find_metric(name).beside)))


def tables_of(work: Work, examples: Sequence[Example], predictions: Sequence[Any]) -> dict[str, ItemTable]:
    """Every metric's table of one task and language."""
    kind = work.task.kind
    references = kind.references(examples, work.language)
    ids = tuple(example.id for example in kind.items(examples))
    return {name: ItemTable(ids, find_metric(name).table(references, predictions)) for name in metric_names(work.task)}


def write_items(path: Path, languages: Mapping[str, Tables]) -> None:
    """Writes the tables of all languages of a task, whole or not at all."""
    rows = [
        {"language": language, "metric": name, "id": id_, "statistics": row}
        for language, tables in languages.items()
        for name, table in tables.items()
        for id_, row in zip(table.ids, table.statistics.tolist(), strict=True)
    ]
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_whole(path, sink.getvalue().to_pybytes())


def read_items(path: Path) -> dict[str, dict[str, ItemTable]]:
    """Language -> metric -> table, as they were written.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            rows = file.read().to_pydict()
        columns = zip(*(rows[name] for name in _SCHEMA.names), strict=True)
    except (pa.ArrowException, OSError, KeyError) as error:
        problem = f"no whole record of items ({str(error).splitlines()[0]})"
        raise UserError.at(path, None, problem, "bring the file back, or score the task again") from None
    found: dict[str, dict[str, tuple[list[str], list[list[float]]]]] = {}
    for language, metric, id_, statistics in columns:
        ids, table = found.setdefault(language, {}).setdefault(metric, ([], []))
        ids.append(id_)
        table.append(statistics)
    return {
        language: {name: ItemTable(tuple(ids), np.array(table)) for name, (ids, table) in tables.items()}
        for language, tables in found.items()
    }


def differences(metric: Metric, first: ItemTable, second: ItemTable) -> np.ndarray:
    """Score of each item under `first` minus that under `second`, points, float64 [n], in the order of `first`.

    Of accuracy the mean is the difference of the scores; of a metric that divides sums, such as F1 over all spans, it
    is not, and a bootstrap takes both tables (`paired`).
    """
    ours, theirs = paired(first, second)
    found: np.ndarray = metric.value(ours) - metric.value(theirs)
    return found


def paired(first: ItemTable, second: ItemTable) -> tuple[np.ndarray, np.ndarray]:
    """The statistics of both, each float64 [n, k], a row of one beside the same item's of the other.

    Raises:
        UserError: they are of other items, or of items of one id.
    """
    place = {id_: row for row, id_ in enumerate(second.ids)}
    if len(place) < len(second.ids) or len(first.ids) != len(second.ids) or set(first.ids) != place.keys():
        raise UserError("items: two results are not of the same items; compare results on the same data")
    return first.statistics, second.statistics[[place[id_] for id_ in first.ids]]
