"""Features on disk: one Arrow file per (task, split, language), memory-mapped, written once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from xstilts.core.atomic import check_writable, whole_file
from xstilts.core.errors import UserError
from xstilts.data.columns import Columns, as_numpy
from xstilts.data.source import ExampleSource
from xstilts.kinds import Example, Kind
from xstilts.kinds.feature import Encoding, Feature
from xstilts.kinds.features import COLUMNS, Features, Ragged

_VERSION = 3
"""Raised when the columns or their meaning change."""

_ROWS_PER_BATCH = 1024

_REMEDY = "prepare the recipe where it can be written, or give another data.cache"


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
        ("num_cut", pa.int32()),
    ]
)


@dataclass(frozen=True)
class FeatureSet:
    """An open feature file. Rows stay on disk; their sizes are in memory (4 bytes an example)."""

    path: Path
    table: pa.Table
    """What the file holds, memory-mapped."""
    num_tokens: np.ndarray
    """int32 [n], all segments of an example together."""
    longest_segment: int
    """Tokens of the longest segment of any example."""
    skipped: dict[str, int]
    """Broken rows of the official release that were left out, by reason."""
    fingerprint: str
    """Names the content: source, tokenizer and encoding."""
    chosen: np.ndarray | None
    """int64: of a subset its rows in the table, in its order."""

    is_cheap: ClassVar[bool] = True
    """Whether `read` costs no more of many rows than finding where they lie; else each costs time of its own."""

    def __len__(self) -> int:
        return len(self.num_tokens)

    def examples(self, rows: slice) -> Iterator[dict[str, Any]]:
        """The fields of these examples, for scoring."""
        # Their tokens stay on disk: a million candidates' would take gigabytes.
        for example in self.column("gold")[rows].to_pylist():
            if not example:
                raise UserError(f"{self.path} holds no examples; remove it and launch again")
            yield json.loads(example)

    def stored(self) -> dict[str, Any]:
        """What a view of the same features is made with."""
        return {field.name: getattr(self, field.name) for field in fields(FeatureSet)}

    def segment_lengths(self, indices: Sequence[int] | np.ndarray) -> Ragged:
        """Tokens of each segment of these rows."""
        (lengths,) = self._columns.runs(("lengths",), *self._columns.find(self._stored_rows(indices)))
        return lengths

    def read(self, indices: Sequence[int] | np.ndarray) -> Features:
        """The features of these rows, in this order, without what is stored for scoring alone."""
        columns = self._columns
        found = columns.find(self._stored_rows(indices))
        (ids,) = columns.runs(("id",), *found)
        runs = columns.locate(COLUMNS, *found)
        return Features(ids.texts(), columns.words, *runs, columns.numbers("num_targets", *found))

    def load(self, indices: Sequence[int] | np.ndarray) -> list[Feature]:
        """The features of these rows, in this order, one by one and with all that is stored of them."""
        columns = self._columns
        found = columns.find(self._stored_rows(indices))
        features = self.read(indices).each()
        starts, ends, gold = columns.runs(("starts", "ends", "gold"), *found)
        stored = zip(
            starts.lists(), ends.lists(), gold.texts(), columns.numbers("num_cut", *found).tolist(), strict=True
        )
        for feature, (char_starts, char_ends, text, num_cut) in zip(features, stored, strict=True):
            feature.starts, feature.ends, feature.num_cut = char_starts, char_ends, num_cut
            feature.example = json.loads(text) if text else None
        return features

    def column(self, name: str) -> pa.ChunkedArray:
        """One field of every example."""
        whole = self.table.column(name)
        return whole if self.chosen is None else whole.take(pa.array(self.chosen))

    @cached_property
    def _columns(self) -> Columns:
        return Columns({name: self.table.column(name) for name in _SCHEMA.names})

    def _stored_rows(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Where these rows stand in the file, of which a subset has some."""
        rows = np.asarray(indices, dtype=np.int64)
        return rows if self.chosen is None else self.chosen[rows]


def collect_labels(source: ExampleSource, cache: Path) -> tuple[str, ...]:
    """The sorted classes of a source, for tasks whose label set is that of their training data."""
    path = cache / f"{source.task.name}-labels-{source.fingerprint()}.json"
    if not path.exists():
        check_writable(cache, path.name, _REMEDY)
        kind = source.task.kind
        labels = sorted({label for example in source.examples() for label in kind.classes(example)})
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(labels, ensure_ascii=False), encoding="utf-8")
    return tuple(json.loads(path.read_text(encoding="utf-8")))


def build(
    source: ExampleSource,
    encoding: Encoding,
    labels: tuple[str, ...] | None,
    cache: Path,
    *,
    scored: bool,
    on_row: Callable[[], None] = lambda: None,
) -> FeatureSet:
    """Opens the features of a source, tokenising first where the cache does not hold them; streams, so that memory
    does not grow with the data.

    Args:
        scored: whether it is to be predicted and scored: with the examples themselves and offsets into their text.
        on_row: called for each example tokenised.
    """
    task = source.task
    key = (
        *(_VERSION, task.name, task.version, source.fingerprint(), encoding.tokenizer.fingerprint),
        *(encoding.max_length, encoding.doc_stride, labels, scored),
    )
    fingerprint = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    path = cache / f"{task.name}-{source.split}-{source.language}-{fingerprint}.arrow"
    note_path = path.with_suffix(".json")
    if not (path.exists() and note_path.exists()):
        check_writable(cache, path.name, _REMEDY)

        def features() -> Iterator[Feature]:
            for example in source.examples():
                yield _feature(task.kind, example, encoding, scored)
                on_row()

        with whole_file(path) as temporary:
            num_rows, longest = _write(temporary, features())
            if num_rows == 0:
                where = f"task '{task.name}', {source.split}, {source.language}"
                raise UserError(f"{where}: no examples; check the files or the slice")
            note = {
                **{"num_rows": num_rows, "longest_segment": longest, "skipped": dict(source.skipped)},
                **{"contents": source.contents(), "labels": labels},
            }
            with whole_file(note_path) as temporary_note:
                temporary_note.write_text(json.dumps(note, indent=1), encoding="utf-8")
    return _open(path, fingerprint)


def _feature(kind: Kind[Any], example: Example, encoding: Encoding, scored: bool) -> Feature:
    feature = kind.encode(example, encoding)
    if scored:
        feature.example = asdict(example)
    else:
        feature.starts, feature.ends = [], []
    return feature


def _write(path: Path, features: Iterable[Feature]) -> tuple[int, int]:
    """Number of rows and length of the longest segment."""
    num_rows, longest = 0, 0
    pending: list[dict[str, Any]] = []
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        for feature in features:
            pending.append(
                {
                    **{name: getattr(feature, name) for name in _SCHEMA.names[:7]},
                    "gold": "" if feature.example is None else json.dumps(feature.example, ensure_ascii=False),
                    "num_tokens": len(feature.tokens),
                    "num_targets": feature.num_targets,
                    "num_cut": feature.num_cut,
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
    note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    try:
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    except pa.ArrowInvalid as error:
        raise UserError.at(path, None, f"damaged features ({error})", "remove the file and launch again") from None
    if table.num_rows != note["num_rows"]:
        problem = f"damaged features ({table.num_rows} of {note['num_rows']} rows)"
        raise UserError.at(path, None, problem, "remove the file and launch again")
    return FeatureSet(
        path,
        table,
        as_numpy(table.column("num_tokens")),
        note["longest_segment"],
        note["skipped"],
        fingerprint,
        chosen=None,
    )
