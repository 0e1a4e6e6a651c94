"""Features on disk: one Arrow file per (task, split, language), memory-mapped, written once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from xstilts.data.encode import Encoding, Feature, encode
from xstilts.data.source import ExampleSource
from xstilts.errors import UserError

_VERSION = 2
"""Raised when the columns or their meaning change."""

_ROWS_PER_BATCH = 1024

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("tokens", pa.list_(pa.int32())),
        ("lengths", pa.list_(pa.int32())),
        ("positions", pa.list_(pa.int32())),
        ("targets", pa.list_(pa.int32())),
        ("starts", pa.list_(pa.int32())),
        ("ends", pa.list_(pa.int32())),
        ("gold", pa.string()),
        ("num_tokens", pa.int32()),
        ("num_targets", pa.int32()),
    ]
)


@dataclass(frozen=True)
class FeatureSet:
    """An open feature file. Rows stay on disk; the two index columns are in memory (8 bytes an example)."""

    path: Path
    rows: datasets.Dataset
    num_tokens: np.ndarray
    """int64 [n], all segments of an example together."""
    num_targets: np.ndarray
    """int64 [n]."""
    longest_segment: int
    """Tokens of the longest segment of any example."""
    labels: tuple[str, ...] | None
    skipped: dict[str, int]
    """Broken rows of the official release that were left out, by reason."""
    fingerprint: str
    """Names the content: source, tokenizer and encoding."""

    def __len__(self) -> int:
        return len(self.num_tokens)

    def segment_lengths(self, indices: Sequence[int]) -> list[list[int]]:
        """Tokens of each segment of these rows."""
        return list(self.rows.select_columns("lengths")[list(map(int, indices))]["lengths"]) if len(indices) else []

    def load(self, indices: Sequence[int]) -> list[Feature]:
        """The features of these rows, in this order."""
        if not len(indices):
            return []
        columns = self.rows[list(map(int, indices))]
        names = ("id", "tokens", "lengths", "positions", "targets", "starts", "ends")
        return [
            Feature(*row, gold=json.loads(gold) if gold else None, num_targets=n)
            for *row, gold, n in zip(
                *(columns[name] for name in names), columns["gold"], columns["num_targets"], strict=True
            )
        ]


def collect_labels(source: ExampleSource) -> tuple[str, ...]:
    """The sorted tags of a tagging source, for tasks whose label set is that of their training data."""
    return tuple(sorted({tag for example in source.examples() for tag in getattr(example, "tags", None) or ()}))


def build(
    source: ExampleSource, encoding: Encoding, labels: tuple[str, ...] | None, cache: Path, *, with_gold: bool
) -> FeatureSet:
    """Opens the features of a source, tokenising first where the cache does not hold them.

    Streams: memory does not grow with the data. Written under a temporary name and renamed, so a file that exists is whole.
    """
    task = source.task
    key = (
        *(_VERSION, task.name, task.version, source.fingerprint(), encoding.tokenizer.fingerprint),
        *(encoding.max_length, encoding.doc_stride, labels, with_gold),
    )
    fingerprint = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    path = cache / f"{task.name}-{source.split}-{source.language}-{fingerprint}.arrow"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            num_rows, longest = _write(
                temporary, (encode(example, encoding, with_gold=with_gold) for example in source.examples())
            )
            if num_rows == 0:
                raise UserError(
                    f"task '{task.name}', {source.split}, {source.language}: no examples; check the files or the slice"
                )
            note = {"labels": labels, "skipped": dict(source.skipped), "num_rows": num_rows, "longest_segment": longest}
            path.with_suffix(".json").write_text(json.dumps(note), encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return _open(path, fingerprint)


def _write(path: Path, features: Iterable[Feature]) -> tuple[int, int]:
    """Number of rows and length of the longest segment."""
    num_rows, longest = 0, 0
    pending: list[dict[str, Any]] = []
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        for feature in features:
            pending.append(
                {
                    **{name: getattr(feature, name) for name in _SCHEMA.names[:7]},
                    "gold": "" if feature.gold is None else json.dumps(feature.gold, ensure_ascii=False),
                    "num_tokens": len(feature.tokens),
                    "num_targets": feature.num_targets,
                }
            )
            num_rows += 1
            longest = max(longest, *feature.lengths)
            if len(pending) == _ROWS_PER_BATCH:
                writer.write_batch(pa.RecordBatch.from_pylist(pending, schema=_SCHEMA))
                pending.clear()
        if pending:
            writer.write_batch(pa.RecordBatch.from_pylist(pending, schema=_SCHEMA))
    return num_rows, longest


def _open(path: Path, fingerprint: str) -> FeatureSet:
    rows = datasets.Dataset.from_file(str(path))
    note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(rows) == note["num_rows"], f"{path} is not the file that its note describes"

    def column(name: str) -> np.ndarray:
        return rows.data.column(name).to_numpy().astype(np.int64)

    labels = None if note["labels"] is None else tuple(note["labels"])
    return FeatureSet(
        path,
        rows,
        column("num_tokens"),
        column("num_targets"),
        note["longest_segment"],
        labels,
        note["skipped"],
        fingerprint,
    )
