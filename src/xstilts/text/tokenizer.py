"""XLM-R's tokenizer, with the offsets and the pair layout that features need."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from xstilts.core.errors import UserError, reason_of
from xstilts.core.hub import hub_id, not_there
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

    def __init__(self, name_or_path: str) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        is_local = Path(name_or_path).is_dir()
        if not is_local:
            hub_id("model.tokenizer", name_or_path)
        try:
            loaded = AutoTokenizer.from_pretrained(name_or_path)
        except (OSError, ValueError) as error:
            if not is_local:
                raise not_there("model.tokenizer", name_or_path, error) from None
            problem = f"model.tokenizer: cannot load '{name_or_path}' ({reason_of(error)})"
            raise UserError(f"{problem}; give a local folder with tokenizer.json") from None
        named = {name: getattr(loaded, f"{name}_token_id") for name in ("bos", "eos", "pad", "mask", "unk")}
        if lacking := [name for name, token in named.items() if token is None]:
            raise UserError(f"model.tokenizer: '{name_or_path}' has no {lacking[0]} token; give one of XLM-R's layout")
        self._backend = loaded.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self.bos, self.eos, self.pad, self.mask, self._unknown = map(int, named.values())
        self.vocab_size = len(loaded)
        self.special_ids = frozenset(loaded.all_special_ids)
        self.ordinary_ids = np.setdiff1d(np.arange(self.vocab_size), list(self.special_ids))
        """int64: every id but the special ones."""
        self.fingerprint = hashlib.sha256(self._backend.to_str().encode()).hexdigest()[:16]

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


def find_tokenizer(configured: str | None, pretrained: str | None, root: Path | None) -> str:
    """The recipe's tokenizer, else the checkpoint's, else the one below the data root."""
    if configured or pretrained:
        return configured or pretrained or ""
    if root is not None and (root / "tokenizer").is_dir():
        return str(root / "tokenizer")
    raise UserError("model.tokenizer is not set and there is no tokenizer/ below data.root; name a folder or a hub id")
