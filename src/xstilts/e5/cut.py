"""Which pieces a set of words uses: what is left of vocabulary and embedding matrix when both are cut to them.

The words, and all text made of them, are tokenised with the cut vocabulary as with the whole one. The tokenizer parts
text at whitespace, and of each word it takes the segmentation with the best sum of scores; that segmentation is still
there, and no better one has come up: the piece with the lowest score is kept, from which the price of an unknown
character derives, so that a character which has lost its piece costs more as an unknown one than any piece did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer

from xstilts.e5.q4_file import SPECIAL
from xstilts.text.nfc import nfc


def pieces_in_use(tokenizer: Tokenizer, pieces: Sequence[tuple[str, float]], words: Iterable[str]) -> list[int]:
    """Ids to keep, ascending, so that the order of the pieces stays: those of the words; for each of their characters
    the piece of that character alone, so that other words in the same characters are segmented otherwise but lose no
    letter; the special pieces; the piece with the lowest score."""
    encoded = tokenizer.encode_batch_fast([nfc(word)[0] for word in sorted(words)], add_special_tokens=False)
    used = {token for encoding in encoded for token in encoding.ids}
    characters = {character for token in used for character in pieces[token][0]}
    lowest = min(range(len(pieces)), key=lambda token: pieces[token][1])
    others = (token for token, (piece, _) in enumerate(pieces) if piece in characters or piece in SPECIAL)
    return sorted({*used, lowest, *others})
