"""What a recipe's data looks like: sizes, lengths, labels, and text that stands where it should not."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue, Part
from xstilts.tasks import find_task


@dataclass(frozen=True)
class Statistics:
    """Of one part."""

    part: Part
    num_examples: int
    num_tokens: tuple[int, int, int]
    """Median, 95th percentile and maximum over examples, all segments of an example together."""
    num_truncated: int
    """Examples of which some tokens found no room."""
    num_duplicates: int
    """Examples whose whole input, normalised, stands further up in the same part."""
    labels: dict[str, int]
    """Label, tag, place of the right option, answerable or not, role -> count, the most frequent first."""
    overlap: dict[str, int]
    """Scored parts: training task -> examples whose text, normalised, is trained on there; none where that is 0."""
    skipped: dict[str, int]
    """Broken rows of the release that were left out, by reason."""


@dataclass(frozen=True)
class _Read:
    """Hashes of the texts of a part, and its labels."""

    texts: np.ndarray
    """uint64 [n]."""
    inputs: np.ndarray
    """uint64 [n]."""
    labels: Counter[str]


def split_present(catalogue: Catalogue, parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """The parts whose files are there, and those whose are not."""
    present, absent = [], []
    for part in parts:
        try:
            catalogue.source(find_task(part.task), part.split, part.language)
        except UserError:
            absent.append(part)
        else:
            present.append(part)
    return present, absent


def statistics(catalogue: Catalogue, parts: Sequence[Part]) -> list[Statistics]:
    """Statistics of each part; tokenises what is not cached, then reads every source once more for its texts."""
    read = {part: _read(catalogue, part) for part in parts}
    trained: dict[str, list[np.ndarray]] = {}
    for part, found in read.items():
        if not part.scored:
            trained.setdefault(part.task, []).append(found.texts)
    training = {task: np.unique(np.concatenate(texts)) for task, texts in trained.items()}
    return [_of_part(catalogue, part, found, training) for part, found in read.items()]


def _of_part(catalogue: Catalogue, part: Part, read: _Read, training: dict[str, np.ndarray]) -> Statistics:
    features = catalogue.open(part)
    lengths = features.num_tokens
    seen = {task: int(np.isin(read.texts, texts).sum()) for task, texts in training.items() if part.scored}
    return Statistics(
        part,
        len(features),
        (_quantile(lengths, 0.5), _quantile(lengths, 0.95), int(lengths.max())),
        int((features.column("num_cut").to_numpy() > 0).sum()),
        len(read.inputs) - len(np.unique(read.inputs)),
        dict(read.labels.most_common()),
        {task: count for task, count in seen.items() if count},
        features.skipped,
    )


def _quantile(values: np.ndarray, share: float) -> int:
    """The smallest value that at least this share of the values does not exceed."""
    return int(np.quantile(values, share, method="inverted_cdf"))


def _read(catalogue: Catalogue, part: Part) -> _Read:
    catalogue.open(part)  # says what is wrong with a source before its texts are counted
    texts, inputs, labels = bytearray(), bytearray(), Counter[str]()
    task = find_task(part.task)
    for example in catalogue.source(task, part.split, part.language).examples():
        text, rest = task.kind.texts(example)
        texts += _hash(text)
        inputs += _hash((*text, *rest))
        labels.update(task.kind.classes(example))
    return _Read(np.frombuffer(texts, np.uint64), np.frombuffer(inputs, np.uint64), labels)


def _hash(texts: Sequence[str]) -> bytes:
    """8 bytes of the texts after NFKC, without case, every run of whitespace one space."""
    normal = (" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in texts)
    return hashlib.blake2b("\x1f".join(normal).encode(), digest_size=8).digest()
