from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xstilts.text.nfc import nfc

HANGUL = st.text(st.characters(min_codepoint=0x1100, max_codepoint=0x11FF), max_size=6)
MARKS = st.text(st.sampled_from("aeoqA\u0300\u0301\u0323\u0307\u0345\u0f71\u0f73\u0f74\u09c7\u09be\u1025\u102e"))


@pytest.mark.parametrize(
    ("text", "normal", "offsets"),
    [
        ("", "", [0]),
        ("abc", "abc", [0, 1, 2, 3]),
        ("\u00e9t\u00e9", "\u00e9t\u00e9", [0, 1, 2, 3]),
        # e and acute join: the rest moves by one
        ("e\u0301a", "\u00e9a", [0, 2, 3]),
        # Yoruba e with dot below and grave: the dot joins, the grave stays a character of the same piece
        ("e\u0323\u0300ko", "\u1eb9\u0300ko", [0, 0, 3, 4, 5]),
        # marks out of order: dot below sorts before dot above
        ("q\u0307\u0323x", "q\u0323\u0307x", [0, 0, 0, 3, 4]),
        # Hangul consonant, vowel, consonant make one syllable
        ("\u1112\u1161\u11abx", "\ud55cx", [0, 3, 4]),
        # U+212B ANGSTROM SIGN is another character in NFC
        ("a\u212b", "a\u00c5", [0, 1, 2]),
    ],
)
def test_by_hand(text: str, normal: str, offsets: list[int]) -> None:
    assert nfc(text) == (normal, offsets)


@given(st.one_of(st.text(), HANGUL, MARKS, st.tuples(MARKS, HANGUL, st.text()).map("".join)))
@example("a\u0f74\u0f73")
@example("\u0f71\u0f74\u0f73")
@example("\ud55c\u11ab")
@example("\u1100\uac00\u11a8")
@example("\U00011935\U00011930")
@example("\u0958\u0344\u0344")
def test_equals_unicodedata_and_maps_monotonely(text: str) -> None:
    normal, offsets = nfc(text)
    assert normal == unicodedata.normalize("NFC", text)
    assert len(offsets) == len(normal) + 1
    assert offsets == sorted(offsets)
    assert (offsets[0], offsets[-1]) == (0, len(text))
    # every original character belongs to some piece that normalises to its part of the normal form
    starts = sorted(set(offsets))
    rebuilt = "".join(
        unicodedata.normalize("NFC", text[a:b]) for a, b in zip(starts, [*starts[1:], len(text)], strict=True)
    )
    assert rebuilt == normal


def test_yoruba_as_shipped(real_data: Path) -> None:
    lines = (real_data / "ntrex" / "newstest2019-ref.yor.txt").read_text(encoding="utf-8").splitlines()
    changed = 0
    for line in lines:
        normal, offsets = nfc(line)
        assert normal == unicodedata.normalize("NFC", line)
        assert offsets == sorted(offsets)
        changed += normal != line
    assert changed > 100  # "not NFC-normalised as shipped"
