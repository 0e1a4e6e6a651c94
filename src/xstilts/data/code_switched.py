"""Running text with words replaced from a bilingual dictionary: a view of stored features, computed on reading.

After code-switching restore (Zan et al. 2022, arXiv 2204.07834), where a sequence-to-sequence model writes out the
whole original from a text that dictionaries have switched. An encoder predicts in place instead: at each piece of a
translation a piece of the word that it replaces, `<mask>` standing for those that it has too few, and nothing at those
that it has too many. Words are found in the stored pieces, so no text is read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xstilts.core.errors import UserError
from xstilts.core.reading import read_lines
from xstilts.core.seeds import derive_seed
from xstilts.data.store import FeatureSet
from xstilts.kinds.feature import NO_LABEL, Feature
from xstilts.kinds.features import Features
from xstilts.text.tokenizer import WORD_START, Tokenizer

_REMEDY = "write one word, a tab, and a translation on each line"

Dictionary = Mapping[str, Sequence[Sequence[int]]]
"""Word without case -> the pieces of each of its translations."""


@dataclass(frozen=True)
class CodeSwitchedSet(FeatureSet):
    """What is switched is a pure function of (key, row, word): the same in every epoch, on every rank and after
    resuming.

    Sizes are those before, which no example outgrows: an example that becomes longer is cut, so that a step can be cut
    into micro-batches without reading it.
    """

    tokenizer: Tokenizer
    dictionary: Dictionary
    rate: float
    key: int

    is_cheap = False

    def read(self, indices: Sequence[int] | np.ndarray) -> Features:
        """The features of these rows, in this order; `positions` and `targets` say what is to be restored."""
        features = super().read(indices).each()
        for row, feature in zip(indices, features, strict=True):
            self._switch(feature, np.random.default_rng(derive_seed(self.key, int(row))))
        return Features.of(features)

    def _switch(self, feature: Feature, generator: np.random.Generator) -> None:
        words = list(find_words(self.tokenizer, feature.tokens))
        lots, picks = generator.random(len(words)), generator.random(len(words))
        tokens: list[int] = []
        done = 0
        for (start, end, word), lot, pick in zip(words, lots, picks, strict=True):
            translations = self.dictionary.get(word)
            if lot >= self.rate or not translations:
                continue
            translation = translations[int(pick * len(translations))]
            original = feature.tokens[start:end]
            tokens += feature.tokens[done:start]
            length = max(len(translation), len(original))
            feature.positions += range(len(tokens), len(tokens) + length)
            feature.targets += [*original, *[NO_LABEL] * (length - len(original))]
            tokens += [*translation, *[self.tokenizer.mask] * (length - len(translation))]
            done = end
        tokens += feature.tokens[done:]
        room = len(feature.tokens) - 1
        if len(tokens) > room + 1:
            tokens = [*tokens[:room], self.tokenizer.eos]
            num_kept = sum(position < room for position in feature.positions)
            del feature.positions[num_kept:], feature.targets[num_kept:]
        feature.tokens, feature.lengths = tokens, [len(tokens)]


def find_words(tokenizer: Tokenizer, tokens: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """(first piece, behind the last, word without case) of each word of a segment: what stands between spaces, without
    the pieces at either end that hold neither letter nor digit."""
    pieces = [None if token in tokenizer.special_ids else tokenizer.piece(token) for token in tokens]
    starts = [i for i, piece in enumerate(pieces) if piece is None or i == 0 or piece.startswith(WORD_START)]
    for start, end in zip(starts, [*starts[1:], len(pieces)], strict=True):
        spelt = [piece is not None and any(map(str.isalnum, piece)) for piece in pieces[start:end]]
        if any(spelt):
            first, last = start + spelt.index(True), end - spelt[::-1].index(True)
            word = "".join(piece or "" for piece in pieces[first:last]).replace(WORD_START, "")
            yield first, last, word.casefold()


def read_dictionary(path: Path, tokenizer: Tokenizer) -> Dictionary:
    """The pairs of a file.

    Raises:
        UserError: a line is no pair, its word is several, its translation has no piece, or there is no line.
    """
    found: dict[str, list[list[int]]] = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        word, _, translation = (part.strip() for part in line.partition("\t" if "\t" in line else " "))
        if not word or not translation:
            raise UserError.at(path, number, f"{line.strip()!r} is no pair of words", _REMEDY)
        own = list(find_words(tokenizer, tokenizer.encode(word).ids))
        if len(own) != 1:
            raise UserError.at(
                path,
                number,
                f"'{word}' is not one word that the tokenizer knows, and would replace none",
                "remove the line",
            )
        pieces = tokenizer.encode(translation).ids
        if not pieces:
            raise UserError.at(path, number, f"'{translation}' has no piece in the tokenizer", "remove the line")
        translations = found.setdefault(own[0][2], [])
        if pieces not in translations:
            translations.append(pieces)
    if not found:
        raise UserError.at(path, None, "no pair of words", _REMEDY)
    return found


def code_switched(
    features: FeatureSet, tokenizer: Tokenizer, dictionary: Dictionary, digest: str, rate: float, key: int
) -> CodeSwitchedSet:
    """The same texts with words switched; `digest` names the dictionary's content, `key` what is drawn."""
    fingerprint = f"{derive_seed(features.fingerprint, 'code_switch', digest, rate, key):016x}"
    switched = {"tokenizer": tokenizer, "dictionary": dictionary, "rate": rate, "key": key}
    return CodeSwitchedSet(**{**features.stored(), "fingerprint": fingerprint, **switched})
