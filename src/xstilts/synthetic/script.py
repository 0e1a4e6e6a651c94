"""Writing systems: one-to-one mappings from the Latin letters of the artificial languages."""

from __future__ import annotations

from collections.abc import Callable

_CYRILLIC = dict(zip("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопщрстувшжыз", strict=True))
_GREEK = dict(zip("abcdefghijklmnopqrstuvwxyz", "αβψδεφγηιξκλμνοπχρστθωϝζυϟ", strict=True))
_ETHIOPIC_ROWS = {
    "h": 0x1200, "l": 0x1208, "m": 0x1218, "r": 0x1228, "s": 0x1230, "q": 0x1240, "b": 0x1260, "v": 0x1268, "t": 0x1270,
    "c": 0x1278, "x": 0x1280, "n": 0x1290, "k": 0x12A8, "w": 0x12C8, "z": 0x12D8, "y": 0x12E8, "d": 0x12F0, "j": 0x1300,
    "g": 0x1308, "f": 0x1348, "p": 0x1350,
}  # fmt: skip
"""Consonant -> the first character of its row in the syllabary."""
_ETHIOPIC_VOWELS = {"u": 1, "i": 2, "a": 3, "e": 4, "": 5, "o": 6}
"""Vowel -> its order in a row of the syllabary; the sixth order is the bare consonant."""
_ETHIOPIC_CARRIER = 0x12A0


def _letters(alphabet: dict[str, str]) -> Callable[[str], str]:
    table = str.maketrans(alphabet | {latin.upper(): letter.upper() for latin, letter in alphabet.items()})
    return lambda word: word.translate(table)


def _syllables(word: str) -> str:
    written, word = "", word.lower()
    position = 0
    while position < len(word):
        row = _ETHIOPIC_ROWS.get(word[position])
        if row is None and word[position] not in _ETHIOPIC_VOWELS:
            written += word[position]
            position += 1
            continue
        position += row is not None
        vowel = word[position] if position < len(word) and word[position] in _ETHIOPIC_VOWELS else ""
        written += chr((row or _ETHIOPIC_CARRIER) + _ETHIOPIC_VOWELS[vowel])
        position += len(vowel)
    return written


SCRIPTS: dict[str, Callable[[str], str]] = {
    "Latn": lambda word: word,
    "Cyrl": _letters(_CYRILLIC),
    "Grek": _letters(_GREEK),
    "Ethi": _syllables,
}
"""ISO 15924 code -> how a word in Latin letters is written; digits and punctuation stay as they are."""
