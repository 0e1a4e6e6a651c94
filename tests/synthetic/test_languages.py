"""Languages move away from English evenly; scripts lose nothing."""

from __future__ import annotations

import itertools
import unicodedata

import pytest

from xstilts.synthetic.grammar import Grammar
from xstilts.synthetic.languages import FEATURE_NAMES, Language
from xstilts.synthetic.lexicon import LEMMAS
from xstilts.synthetic.meaning import Event, Thing
from xstilts.synthetic.sampling import Sampler
from xstilts.synthetic.script import SCRIPTS

DISTANCES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def _texts(language: Language, num: int = 300) -> list[str]:
    sampler, grammar = Sampler("texts"), Grammar(language)
    return [grammar.realise(sampler.proposition(), sampler.style()).text for _ in range(num)]


def _words(texts: list[str]) -> set[str]:
    return {word.rstrip(".?") for text in texts for word in text.split()}


def test_distance_zero_is_english() -> None:
    assert _texts(Language("qaa_Latn", 0.0, seed=3)) == _texts(Language("eng_Latn", 0.0, seed=3))


def test_overlap_with_english_falls_as_distance_grows() -> None:
    english = _words(_texts(Language("eng_Latn", 0.0, seed=0)))
    shares = []
    for index, distance in enumerate(DISTANCES):
        words = _words(_texts(Language(f"qa{'abcdef'[index]}_Latn", distance, seed=0)))
        shares.append(len(words & english) / len(words))
    assert shares[0] == 1.0
    assert all(nearer > farther for nearer, farther in itertools.pairwise(shares)), shares


def test_kept_words_are_nested_and_features_counted() -> None:
    languages = [Language("qaa_Latn", distance, seed=0) for distance in DISTANCES]
    assert languages[0].kept == set(LEMMAS)
    assert not languages[-1].kept
    assert all(farther.kept < nearer.kept for nearer, farther in itertools.pairwise(languages))
    lost = [sum(getattr(language.features, name) for name in FEATURE_NAMES) for language in languages]
    assert lost == [0, 2, 4, 6, 8, 10]


def test_no_two_words_of_a_language_are_alike() -> None:
    language = Language("qaa_Latn", 0.7, seed=5)
    assert len({language.word(lemma) for lemma in LEMMAS}) == len(set(LEMMAS))


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_one_to_one_and_normalised(script: str) -> None:
    write = SCRIPTS[script]
    words = sorted(_words(_texts(Language("qaa_Latn", 0.6, seed=0))))
    written = [write(word) for word in words]
    assert len({word.lower() for word in written}) == len({word.lower() for word in words})
    assert all(unicodedata.normalize("NFKC", word) == word for word in written)


def test_scripts_by_hand() -> None:
    assert SCRIPTS["Cyrl"]("Anna sold") == "Анна солд"
    assert SCRIPTS["Grek"]("Anna") == "Αννα"
    assert SCRIPTS["Ethi"]("selam") == "ሴላም"
    assert SCRIPTS["Ethi"]("in 1974") == "ኢን 1974"


def test_features_by_hand() -> None:
    """At distance 1 every feature of English is gone: circumstances first, verb last, article and case as endings."""
    language = Language("qaa_Latn", 1.0, seed=0)
    event = Event(Thing("Anna"), "wash", Thing("car", property="red"), place="school", time="Monday", negative=True)
    word = language.word
    expected = [
        word("Monday"), word("on"), word("school") + language.article, word("in"), "Anna",
        word("car") + language.article + language.case, word("red"), word("wash"), word("not"), word("did"), ".",
    ]  # fmt: skip
    assert [token.form for token in Grammar(language).realise(event).words] == expected
