"""NFC normalisation that remembers where every character came from."""

from __future__ import annotations

import unicodedata
from functools import cache


def nfc(text: str) -> tuple[str, list[int]]:
    """The NFC form, and the original offset of each of its characters, with len(text) appended.

    Original offsets of a span [a, b) of the normal form are (map[a], map[b]). The text is cut where NFC cannot join
    across: before characters that are starters and begin no composition (Unicode Annex 15, quick check).
    """
    if unicodedata.is_normalized("NFC", text):
        return text, list(range(len(text) + 1))
    pieces: list[str] = []
    offsets: list[int] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and not _may_start(text[end]):
            continue
        piece = unicodedata.normalize("NFC", text[start:end])
        pieces.append(piece)
        # Within a piece that changed, every character points at the piece's start: no finer truth exists.
        changed = piece != text[start:end]
        offsets += [start if changed else start + i for i in range(len(piece))]
        start = end
    return "".join(pieces), [*offsets, len(text)]


@cache
def _may_start(character: str) -> bool:
    """Whether NFC never joins this character to the one before it, nor moves it."""
    first = unicodedata.normalize("NFD", character)[0]  # of U+0F73, a starter, it is none
    if unicodedata.combining(first):
        return False
    # Hangul vowels and trailing consonants, and the few starters that compose with a starter before them.
    return not ("\u1160" <= first <= "\u11ff" or first in _joining_starters())


@cache
def _joining_starters() -> frozenset[str]:
    """Starters that are the second half of a canonical decomposition into two."""
    pairs = (unicodedata.decomposition(chr(code)).split() for code in range(0x110000))
    seconds = (chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<"))
    return frozenset(character for character in seconds if not unicodedata.combining(character))
