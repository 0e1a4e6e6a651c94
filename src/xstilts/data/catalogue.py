"""All data of a study: sources found, label sets fixed, features tokenised once and opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from xstilts.config.recipe import Data
from xstilts.core.checksum import Checksums
from xstilts.core.seeds import derive_seed
from xstilts.data.code_switched import Dictionary, read_dictionary
from xstilts.data.source import ExampleSource, find_source
from xstilts.data.store import FeatureSet, build, collect_labels
from xstilts.kinds.feature import Encoding
from xstilts.tasks import Task, find_task
from xstilts.tasks.languages import ENGLISH
from xstilts.text.tokenizer import Tokenizer


class Part(NamedTuple):
    """What is tokenised and stored as one file."""

    task: str
    split: str
    language: str
    scored: bool
    """Whether it is to be predicted and scored, not trained on."""


class Catalogue:
    """Opens features by task, split and language; what the cache lacks is tokenised on first use."""

    def __init__(self, data: Data, root: Path | None, cache: Path, tokenizer: Tokenizer) -> None:
        self._data = data
        self._root = root
        self._cache = cache
        self._checksums = Checksums(cache / "checksums")
        self.tokenizer = tokenizer
        self._labels: dict[str, tuple[str, ...] | None] = {}
        self._opened: dict[Part, FeatureSet] = {}
        self._dictionaries: dict[str, Dictionary] = {}

    @property
    def doc_stride(self) -> int:
        """`data.doc_stride`, by which long contexts are cut into windows."""
        return self._data.doc_stride

    def source(self, task: Task, split: str, language: str = ENGLISH) -> ExampleSource:
        """The examples themselves."""
        source = find_source(self._data, self._root, task, split, language)
        return replace(source, checksums=self._checksums)

    def labels(self, task: Task) -> tuple[str, ...] | None:
        """The task's label set: its closed one, or that of its English training data."""
        if task.name not in self._labels:
            collected = task.labels is None and task.kind.collects_labels
            source = self.source(task, "train") if collected else None
            self._labels[task.name] = collect_labels(source, self._cache) if source else task.labels
        return self._labels[task.name]

    def digest(self, path: Path) -> str:
        """SHA-256 of a file, read once."""
        return self._checksums.of(path)

    def dictionary(self, path: Path) -> tuple[Dictionary, str]:
        """A bilingual dictionary, and the SHA-256 of its file."""
        digest = self.digest(path)
        if digest not in self._dictionaries:
            self._dictionaries[digest] = read_dictionary(path, self.tokenizer)
        return self._dictionaries[digest], digest

    def train(self, task: Task, languages: Sequence[str]) -> FeatureSet:
        """Training features, one language after the other."""
        sets = [self.open(Part(task.name, "train", language, scored=False)) for language in languages]
        return sets[0] if len(sets) == 1 else _concatenated(sets)

    def open(self, part: Part, on_row: Callable[[], None] = lambda: None) -> FeatureSet:
        """The features of a part; `on_row` is called for each example that has to be tokenised."""
        if part not in self._opened:
            task = find_task(part.task)
            labels = self.labels(task)
            encoding = Encoding(
                self.tokenizer,
                self._data.max_length or task.max_length,
                self._data.doc_stride,
                {label: i for i, label in enumerate(labels or ())},
            )
            source = self.source(task, part.split, part.language)
            self._opened[part] = build(source, encoding, labels, self._cache, scored=part.scored, on_row=on_row)
        return self._opened[part]

    def official_size(self, part: Part) -> int | None:
        """Examples of the official release where that is what is read and its size is known."""
        replaced = self._data.world is not None or part.split in self._data.sources.get(part.task, {})
        return None if replaced else find_task(part.task).num_examples.get((part.split, part.language))


def _concatenated(sets: Sequence[FeatureSet]) -> FeatureSet:
    assert all(features.chosen is None for features in sets)
    return FeatureSet(
        sets[0].path,
        pa.concat_tables([features.table for features in sets]),
        np.concatenate([features.num_tokens for features in sets]),
        max(features.longest_segment for features in sets),
        {
            reason: sum(f.skipped.get(reason, 0) for f in sets)
            for reason in sorted({r for f in sets for r in f.skipped})
        },
        f"{derive_seed(*(features.fingerprint for features in sets)):016x}",
        chosen=None,
    )
