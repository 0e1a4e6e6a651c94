"""Which pieces stay, and that what stays segments as the whole did."""

from __future__ import annotations

from q4_writer import PIECES

from xstilts.e5.cut import pieces_in_use
from xstilts.e5.tokenizer import make_tokenizer


def segment(pieces: list[tuple[str, float]], word: str) -> list[str]:
    return [pieces[i][0] for i in make_tokenizer(pieces, {}).encode(word, add_special_tokens=False).ids]


def kept(*words: str) -> list[tuple[str, float]]:
    return [PIECES[i] for i in pieces_in_use(make_tokenizer(PIECES, {}), PIECES, words)]


def test_used_special_and_single_characters_stay_in_order() -> None:
    left = kept("de")
    assert left == [piece for piece in PIECES if piece[0] in "<s> <pad> </s> <unk> ▁ ▁de zzz d e <mask>".split()]
    assert segment(left, "ed") == ["▁", "e", "d"]


def test_without_the_lowest_piece_an_unknown_letter_would_be_too_cheap() -> None:
    """`q` has no piece of its own. As an unknown letter it costs 50, 10 more than the dearest piece; `qa` `b` `c`,
    36 in all, beats `<unk>` `abc`, 51; without `zzz` it costs 24, and `<unk>` `abc` 25."""
    whole = segment(PIECES, "qabc")
    assert whole == ["▁", "qa", "b", "c"]
    left = kept("qabc", "abc")
    assert segment(left, "qabc") == whole
    assert segment([piece for piece in left if piece[0] != "zzz"], "qabc") == ["▁", "<unk>", "abc"]
