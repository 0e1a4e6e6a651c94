"""English sentences, their spans, supertags and trees, written by hand; trees of every language are trees."""

from __future__ import annotations

import pytest

from xstilts.synthetic.grammar import Grammar, Sentence, Style, Word
from xstilts.synthetic.languages import Language
from xstilts.synthetic.meaning import Event, Fact, Joined, Proposition, Question, State, Thing
from xstilts.synthetic.sampling import Sampler
from xstilts.synthetic.tagging import utterances

ENGLISH = Grammar(Language("eng_Latn", 0.0, seed=0))
EVENT = Event(Thing("Anna Berg"), "wash", Thing("car", property="red"), place="school", time="Monday")
PASSIVE = Style(passive=True)


@pytest.mark.parametrize(
    ("proposition", "style", "text"),
    [
        (EVENT, Style(), "Anna Berg washed the red car in the school on Monday."),
        (EVENT, Style(True, True, True), "on Monday the red car was rinsed by Anna Berg in the school."),
        (Event(Thing("teacher", "no"), "cure", Thing("animal", "a")), Style(), "no teacher cured an animal."),
        (Event(Thing("Leo"), "lift", Thing("brush", number=3)), PASSIVE, "three brushes were lifted by Leo."),
        (Event(Thing("Leo"), "lift", Thing("hammer"), negative=True), Style(), "Leo did not lift the hammer."),
        (Question(EVENT, "agent"), Style(), "who washed the red car?"),
        (Question(EVENT, "agent"), PASSIVE, "who was the red car washed by?"),
        (Question(EVENT, "patient"), Style(), "what did Anna Berg wash?"),
        (Question(EVENT, "place"), Style(), "where did Anna Berg wash the red car?"),
        (Question(EVENT, "time"), PASSIVE, "when was the red car washed by Anna Berg?"),
        (Fact("dog", type="animal"), Style(), "a dog is an animal."),
        (Fact("cow", home="farm"), Style(), "a cow is in the farm."),
        (
            Joined(Event(Thing("Leo"), "cook", Thing("rice")), "because", State(Thing("rice"), "raw")),
            Style(),
            "Leo cooked the rice because the rice was raw.",
        ),
    ],
)
def test_english_by_hand(proposition: Proposition, style: Style, text: str) -> None:
    assert ENGLISH.realise(proposition, style).text == text


def test_spans_are_the_words_of_the_participants() -> None:
    sentence = ENGLISH.realise(EVENT, PASSIVE)
    spans = {role: sentence.span(role) for role in ("agent", "patient", "place", "time")}
    texts = {role: sentence.text[span[0] : span[1]] for role, span in spans.items() if span is not None}
    assert texts == {"agent": "Anna Berg", "patient": "the red car", "place": "the school", "time": "Monday"}


def test_supertags_by_hand() -> None:
    sentence = ENGLISH.realise(EVENT)
    modifier = r"((S\NP)\(S\NP))/NP"
    expected = ["N/N", "N", r"(S[dcl]\NP)/NP", "NP/N", "N/N", "N", modifier, "NP/N", "N", modifier, "N", "."]
    assert [word.category for word in sentence.words] == expected


def test_parts_of_speech_by_hand() -> None:
    sentence = ENGLISH.realise(Event(Thing("Leo"), "lift", Thing("hammer", number=2), time="1974", negative=True))
    expected = ["PROPN", "AUX", "PART", "VERB", "NUM", "NOUN", "ADP", "NUM", "PUNCT"]
    assert [word.upos for word in sentence.words] == expected


def _is_tree(sentence: Sentence) -> bool:
    roots = [word for word in sentence.words if word.head is None]

    def reaches_root(word: Word) -> bool:
        steps = 0
        while word.head is not None and steps <= len(sentence.words):
            word, steps = word.head, steps + 1
        return word is roots[0]

    inside = all(word.head is None or any(word.head is other for other in sentence.words) for word in sentence.words)
    return len(roots) == 1 and inside and all(map(reaches_root, sentence.words))


@pytest.mark.parametrize("distance", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("key", ["qaa_Latn", "qab_Ethi", "qac_Cyrl"])
def test_every_language_has_trees_and_whole_spans(key: str, distance: float) -> None:
    grammar = Grammar(Language(key, distance, seed=1))
    for proposition, style in utterances(Sampler(key), 200, set()):
        sentence = grammar.realise(proposition, style)
        assert _is_tree(sentence)
        for word, start in zip(sentence.words, sentence.starts, strict=True):
            assert sentence.text[start : start + len(word.form)] == word.form
        if isinstance(proposition, Event):
            for role in ("agent", "patient"):
                assert sentence.span(role) is not None
