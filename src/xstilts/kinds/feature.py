"""An example as tokens: what is stored of it, and what making it depends on.

Layouts are those of XLM-R fine-tuning in XTREME's scripts: `<s> a </s>` for one text, `<s> a </s></s> b </s>` for two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loads transformers
    from xstilts.text.tokenizer import Tokenizer

NO_LABEL = -1
"""Target of a word or text whose right label the model cannot produce or does not know."""


@dataclass
class Feature:
    """One example, tokenised. Positions count from the first token of the example's first segment."""

    id: str
    tokens: list[int]
    """All segments, one after the other."""
    lengths: list[int]
    """Length of each segment."""
    positions: list[int] = field(default_factory=list)
    """Where the head reads: `<s>` of each segment, say, or the first subword of each word."""
    targets: list[int] = field(default_factory=list)
    """What the head is trained on, as the kind has it: a label, a tag per word, start and end per window."""
    starts: list[int] = field(default_factory=list)
    """Where predictions are cut from a text, and for scoring alone: original start offset of each token, -1 outside
    that text; likewise `ends`."""
    ends: list[int] = field(default_factory=list)
    example: dict[str, Any] | None = None
    """For scoring alone: the fields of the example itself."""
    num_targets: int = 1
    """Targets that the example's loss is averaged over."""
    num_cut: int = 0
    """Tokens of the example that no segment had room for."""


@dataclass(frozen=True)
class Encoding:
    """What a feature depends on besides its example."""

    tokenizer: Tokenizer
    max_length: int
    """Longest segment in tokens, specials included."""
    doc_stride: int
    """Tokens from the start of one window over a long context to the start of the next."""
    label_index: Mapping[str, int]
    """Label -> class; empty for kinds without labels."""

    def join(self, text_a: str, text_b: str | None) -> tuple[list[int], int]:
        """One segment of one or two texts, and how many of their tokens it has no room for."""
        first = self.tokenizer.encode(text_a).ids
        if text_b is None:
            room = self.max_length - 2
            return self.tokenizer.single(first[:room]), max(0, len(first) - room)
        second = self.tokenizer.encode(text_b).ids
        room = self.max_length - 4
        return self.tokenizer.pair(*truncate(first, second, room)), max(0, len(first) + len(second) - room)


def truncate(first: list[int], second: list[int], room: int) -> tuple[list[int], list[int]]:
    """Takes tokens off the end of the longer text, the second of two equal ones, until both fit ("longest first")."""
    excess = len(first) + len(second) - room
    if excess <= 0:
        return first, second
    difference = len(first) - len(second)
    from_first = min(excess, max(difference, 0))
    from_second = min(excess, max(-difference, 0))
    rest = excess - from_first - from_second
    from_first, from_second = from_first + rest // 2, from_second + rest - rest // 2
    return first[: len(first) - from_first], second[: len(second) - from_second]
