"""How an artificial language is derived from English: which words it keeps, its affixes, its word order, its script.

Everything is decided by comparing the distance with fixed draws, so that a feature once lost stays lost at
every larger distance: the words kept at 0.6 are among those kept at 0.3, and at 0 the language is English.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

from xstilts.synthetic.lexicon import LEMMAS
from xstilts.synthetic.script import SCRIPTS

ENGLISH = "eng_Latn"
_SIBILANTS = ("s", "x", "sh", "ch")


@dataclass(frozen=True, slots=True)
class Features:
    """Where a language departs from English; all False is English."""

    verb_last: bool = False
    adjective_after_noun: bool = False
    postpositions: bool = False
    circumstances_first: bool = False
    question_word_in_place: bool = False
    negation_after_verb: bool = False
    article_as_suffix: bool = False
    object_case: bool = False
    own_plural: bool = False
    own_past: bool = False


FEATURE_NAMES = tuple(field.name for field in fields(Features))


class Language:
    """Words and word forms of one language, in Latin letters; `write` puts them into its script."""

    def __init__(self, key: str, distance: float, seed: int) -> None:
        self.key, self.distance = key, distance
        self.write = SCRIPTS[key[4:]]
        order = random.Random(f"{seed}/{key}/features").sample(FEATURE_NAMES, len(FEATURE_NAMES))
        lost = order[: round(distance * len(order))]
        self.features = Features(**{name: name in lost for name in FEATURE_NAMES})
        self.kept = frozenset(lemma for lemma in LEMMAS if random.Random(f"{seed}/kept/{lemma}").random() >= distance)
        self._stems = self._own_words(random.Random(f"{seed}/{key}/words"))
        affixes = random.Random(f"{seed}/{key}/affixes")
        endings = affixes.sample([vowel + consonant for vowel in "aeiou" for consonant in "klmnrt"], 4)
        self.plural, self.past_ending, self.case, self.article = (
            endings[0] if self.features.own_plural else "s",
            endings[1] if self.features.own_past else "ed",
            endings[2] if self.features.object_case else "",
            endings[3],
        )

    def _own_words(self, generator: random.Random) -> dict[str, str]:
        taken = set(LEMMAS)
        stems = {}
        for lemma in LEMMAS:
            word = lemma
            while word in taken:
                word = "".join(
                    generator.choice("bdfghjklmnprstvz") + generator.choice("aeiou")
                    for _ in range(1 if len(lemma) < 4 else generator.choice((2, 2, 3)))
                ) + generator.choice("klmnrst")
            taken.add(word)
            stems[lemma] = lemma if lemma in self.kept else word
        return stems

    def word(self, lemma: str) -> str:
        """The bare word; a name, a year or a punctuation mark is itself."""
        return self._stems.get(lemma, lemma)

    def noun(self, lemma: str, *, plural: bool, is_object: bool, is_definite: bool) -> str:
        """A noun or name with its endings; English has only the plural."""
        form = self.word(lemma)
        if plural:
            form += "es" if self.plural == "s" and form.endswith(_SIBILANTS) else self.plural
        if is_definite and self.features.article_as_suffix:
            form += self.article
        return form + self.case if is_object else form

    def past(self, lemma: str) -> str:
        """The past and participle of a verb, whose base form is the bare word."""
        stem = self.word(lemma)
        return stem + ("d" if self.past_ending == "ed" and stem.endswith("e") else self.past_ending)
