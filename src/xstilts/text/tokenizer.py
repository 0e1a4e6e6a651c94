"""XLM-R's tokenizer, with the offsets and the pair layout that features need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.core.errors import UserError
from xstilts.text.about import About, file_of, keep, read
from xstilts.text.nfc import nfc

WORD_START = "\u2581"
"""Begins a piece that begins a word: stands for the space before it."""


@dataclass(frozen=True)
class TokenizedText:
    """A tokenised text: `ids[i]` stands for the original characters [starts[i], ends[i])."""

    ids: list[int]
    starts: list[int]
    ends: list[int]


class Tokenizer:
    """A fast XLM-R-layout tokenizer; all text goes through NFC first, all offsets come back in the original text."""

    def __init__(self, name_or_path: str, cache: Path | None = None) -> None:
        """`cache`: folder that keeps what is known of a tokenizer, so that whoever tokenises nothing need not load it.

        Raises:
            UserError: it is not there, or not of XLM-R's layout.
        """
        self._name = name_or_path
        folder = Path(name_or_path)
        known = file_of(folder, cache) if cache and folder.is_dir() else None
        about = read(known) if known else None
        if about is None:
            about, self._backend = _load(name_or_path)
            if known:
                keep(about, known)
        self.bos, self.eos, self.pad, self.mask, self._unknown = about.bos, about.eos, about.pad, about.mask, about.unk
        self.vocab_size = about.vocab_size
        self.special_ids = frozenset(about.special_ids)
        self.fingerprint = about.fingerprint

    @cached_property
    def _backend(self) -> Any:
        return _load(self._name)[1]

    @cached_property
    def ordinary_ids(self) -> np.ndarray:
        """int64: every id but the special ones."""
        return np.setdiff1d(np.arange(self.vocab_size), list(self.special_ids))

    @cached_property
    def is_ordinary(self) -> np.ndarray:
        """bool [vocabulary]: of each id whether it is one of `ordinary_ids`."""
        return np.isin(np.arange(self.vocab_size), self.ordinary_ids)

    def encode(self, text: str) -> TokenizedText:
        """Tokens of a text without specials; where the text itself spells one, `</s>` say, that is `<unk>`."""
        normal, origin = nfc(text)
        encoding = self._backend.encode(normal, add_special_tokens=False)
        starts = [origin[start] for start, _ in encoding.offsets]
        ends = [_end(origin, start, end) for start, end in encoding.offsets]
        return TokenizedText(self._plain(encoding.ids), starts, ends)

    def encode_words(self, words: tuple[str, ...]) -> list[list[int]]:
        """Tokens of each word, as XTREME does it: every word tokenised by itself; a word without tokens is `<unk>`."""
        encodings = self._backend.encode_batch([nfc(word)[0] for word in words], add_special_tokens=False)
        return [self._plain(encoding.ids) or [self._unknown] for encoding in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, specials left out: normalised, with `<unk>` gone."""
        text: str = self._backend.decode(list(ids), skip_special_tokens=True)
        return text

    def piece(self, token: int) -> str:
        """The piece of an id, as the vocabulary writes it."""
        return str(self._backend.id_to_token(token))

    def _plain(self, ids: list[int]) -> list[int]:
        return ids if self.special_ids.isdisjoint(ids) else [self._unknown if i in self.special_ids else i for i in ids]

    def single(self, ids: list[int]) -> list[int]:
        """`<s> ids </s>`."""
        return [self.bos, *ids, self.eos]

    def pair(self, first: list[int], second: list[int]) -> list[int]:
        """`<s> first </s></s> second </s>`, XLM-R's layout of two texts."""
        return [self.bos, *first, self.eos, self.eos, *second, self.eos]


def _end(origin: list[int], start: int, end: int) -> int:
    """Original end of normal characters [start, end): rounded up to the end of a piece that NFC changed."""
    if end <= start:
        return origin[start]
    while end < len(origin) - 1 and origin[end] == origin[end - 1]:
        end += 1
    return origin[end]


def _load(name_or_path: str) -> tuple[About, Any]:
    from xstilts.text.load import load  # imports a library that takes seconds

    return load(name_or_path)


def find_tokenizer(configured: str | None, pretrained: str | None, root: Path | None) -> str:
    """The recipe's tokenizer, else the checkpoint's, else the one below the data root."""
    if configured or pretrained:
        return configured or pretrained or ""
    if root is not None and (root / "tokenizer").is_dir():
        return str(root / "tokenizer")
    raise UserError("model.tokenizer is not set and there is no tokenizer/ below data.root; name a folder or a hub id")
