"""XLM-R's tokenizer, with the offsets and the pair layout that features need."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer

from xstilts.data.text import nfc
from xstilts.errors import UserError


@dataclass(frozen=True)
class Piece:
    """A tokenised text: `ids[i]` stands for the original characters [starts[i], ends[i])."""

    ids: list[int]
    starts: list[int]
    ends: list[int]


class Tokenizer:
    """A fast XLM-R-layout tokenizer; all text goes through NFC first, all offsets come back in the original text."""

    def __init__(self, name_or_path: str) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            loaded = AutoTokenizer.from_pretrained(name_or_path)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"model.tokenizer: cannot load '{name_or_path}' ({reason}); give a local folder with tokenizer.json"
            ) from None
        self._backend = loaded.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        self.bos, self.eos = int(loaded.bos_token_id), int(loaded.eos_token_id)
        self.pad, self.mask = int(loaded.pad_token_id), int(loaded.mask_token_id)
        self.vocab_size = len(loaded)
        self.special_ids = frozenset(loaded.all_special_ids)
        self.fingerprint = hashlib.sha256(self._backend.to_str().encode()).hexdigest()[:16]

    def encode(self, text: str) -> Piece:
        """Tokens of a text without specials."""
        normal, origin = nfc(text)
        encoding = self._backend.encode(normal, add_special_tokens=False)
        starts = [origin[start] for start, _ in encoding.offsets]
        ends = [_end(origin, start, end) for start, end in encoding.offsets]
        return Piece(encoding.ids, starts, ends)

    def encode_words(self, words: tuple[str, ...]) -> list[list[int]]:
        """Tokens of each word, as XTREME does it: every word tokenised by itself; a word without tokens is `<unk>`."""
        encodings = self._backend.encode_batch([nfc(word)[0] for word in words], add_special_tokens=False)
        unknown = self._backend.token_to_id("<unk>")
        return [encoding.ids or [unknown] for encoding in encodings]

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
