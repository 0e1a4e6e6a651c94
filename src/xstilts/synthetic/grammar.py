"""From a proposition to a sentence of a language, with parts of speech, supertags, heads and roles.

Supertags are categories in the manner of CCGbank for the English word order; parts of speech and relations are
those of Universal Dependencies.
"""

from __future__ import annotations

from dataclasses import dataclass

from xstilts.synthetic.languages import Language
from xstilts.synthetic.lexicon import NUMBERS, SYNONYMS, YEARS, is_name
from xstilts.synthetic.meaning import Event, Fact, Joined, Proposition, Question, State, Thing

_VERB_PHRASE = r"(S\NP)\(S\NP)"
_QUESTION_WORDS = {"agent": "who", "patient": "what", "place": "where", "time": "when"}


@dataclass(eq=False, slots=True)
class Word:
    form: str
    """In Latin letters until the sentence is written."""
    lemma: str
    upos: str
    category: str
    relation: str = "root"
    head: Word | None = None
    role: str | None = None
    """Role of the participant that the word belongs to."""


@dataclass(frozen=True, slots=True)
class Style:
    """Choices of wording that do not change the meaning."""

    passive: bool = False
    synonym: bool = False
    """The other word for the verb, where there is one."""
    fronted: bool = False
    """The circumstance of time comes first."""


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Sentence:
    words: tuple[Word, ...]
    text: str
    """The words with a blank before each, except before punctuation."""
    starts: tuple[int, ...]
    """Offset of each word in the text, in code points."""

    def span(self, role: str) -> tuple[int, int] | None:
        """Offsets [start, end) of the participant in that role, None where it is not mentioned."""
        members = [i for i, word in enumerate(self.words) if word.role == role]
        if not members:
            return None
        assert members == list(range(members[0], members[-1] + 1)), "a participant is one stretch of words"
        return self.starts[members[0]], self.starts[members[-1]] + len(self.words[members[-1]].form)


def _attach(words: list[Word], head: Word, relation: str, to: Word) -> list[Word]:
    head.head, head.relation = to, relation
    return words


class Grammar:
    """Realises propositions in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def realise(self, proposition: Proposition, style: Style = PLAIN) -> Sentence:
        """The sentence for a proposition."""
        words = self._clause(proposition, style)
        root = next(word for word in words if word.head is None)
        mark = "?" if isinstance(proposition, Question) else "."
        words.append(Word(mark, mark, "PUNCT", ".", "punct", root))
        return self._write(words)

    def _write(self, words: list[Word]) -> Sentence:
        text, starts = "", []
        for word, follower in zip(words, [*words[1:], words[-1]], strict=True):
            if word.form == "a" and word.lemma == "a" and follower.form[0] in "aeiou":
                word.form = "an"
        for word in words:
            word.form = self.language.write(word.form)
            text += " " if text and word.upos != "PUNCT" else ""
            starts.append(len(text))
            text += word.form
        return Sentence(tuple(words), text, tuple(starts))

    def _word(self, lemma: str, upos: str, category: str) -> Word:
        return Word(self.language.word(lemma), lemma, upos, category)

    def _clause(self, proposition: Proposition, style: Style) -> list[Word]:
        match proposition:
            case Question(event, asked):
                return self._event(event, style, asked)
            case Event():
                return self._event(proposition, style, None)
            case State(thing, state):
                return self._copula(thing, [self._word(state, "ADJ", r"S[adj]\NP")], r"(S[dcl]\NP)/(S[adj]\NP)", "was")
            case Fact(kind, kind_type, home):
                is_type = kind_type is not None
                complement, head = self._participant(Thing(kind_type or home or "", "a" if is_type else "the"), None)
                if home is not None:
                    complement = self._with_adposition("in", complement, head, "PP/NP")
                category = r"(S[dcl]\NP)/NP" if is_type else r"(S[dcl]\NP)/PP"
                return self._copula(Thing(kind, "a"), complement, category, "is", head)
            case Joined(first, link, second):
                left, right = self._clause(first, style), self._clause(second, style)
                top, lower = (next(word for word in words if word.head is None) for words in (left, right))
                linking = (
                    self._word("and", "CCONJ", "conj")
                    if link == "and"
                    else self._word(link, "SCONJ", f"({_VERB_PHRASE})/S[dcl]")
                )
                _attach([linking], linking, "cc" if link == "and" else "mark", lower)
                return [*left, linking, *_attach(right, lower, "conj" if link == "and" else "advcl", top)]

    def _copula(
        self, thing: Thing, complement: list[Word], category: str, verb: str, head: Word | None = None
    ) -> list[Word]:
        head = head or complement[-1]
        subject, noun = self._participant(thing, "agent")
        copula = self._word(verb, "AUX", category)
        _attach(subject, noun, "nsubj", head)
        _attach([copula], copula, "cop", head)
        return [*subject, *complement, copula] if self.language.features.verb_last else [*subject, copula, *complement]

    def _event(self, event: Event, style: Style, asked: str | None) -> list[Word]:
        features = self.language.features
        subject_role, other_role = ("patient", "agent") if style.passive else ("agent", "patient")
        questioned = None if asked is None else self._question_word(asked, asked == subject_role)
        inverts = asked is not None and asked != subject_role and not features.question_word_in_place
        auxiliaries, verb, negation = self._verb_group(event, style, inverts)

        def participant(role: str, is_object: bool) -> tuple[list[Word], Word]:
            if asked == role:
                assert questioned is not None
                return [questioned], questioned
            return self._participant(event.agent if role == "agent" else event.patient, role, is_object=is_object)

        subject, subject_head = participant(subject_role, False)
        other, other_head = participant(other_role, not style.passive)
        if style.passive:
            stranded = asked == other_role and not features.question_word_in_place
            other = self._with_adposition("by", other, other_head, f"({_VERB_PHRASE})/NP", final=stranded)
        _attach(subject, subject_head, "nsubj:pass" if style.passive else "nsubj", verb)
        _attach(other, other_head, "obl:agent" if style.passive else "obj", verb)
        place, time = self._circumstances(event, style, asked, verb)
        if questioned is not None and asked in ("place", "time"):
            _attach([questioned], questioned, "advmod", verb)
            place, time = ([questioned], time) if asked == "place" else (place, [questioned])

        main = [verb, *negation] if features.negation_after_verb else [*negation, verb]
        group = main if inverts else [*main, *auxiliaries] if features.verb_last else [*auxiliaries, *main]
        core = [*subject, *other, *group] if features.verb_last else [*subject, *group, *other]
        if features.circumstances_first:
            words = [*time, *place, *core]
        elif style.fronted:
            words = [*time, *core, *place]
        else:
            words = [*core, *place, *time]
        if questioned is None or features.question_word_in_place:
            return words
        words.remove(questioned)
        return [questioned, *(auxiliaries if inverts else []), *words]

    def _question_word(self, role: str, is_subject: bool) -> Word:
        lemma = _QUESTION_WORDS[role]
        if role in ("place", "time"):
            return self._word(lemma, "ADV", "S[wq]/S[q]")
        return self._word(lemma, "PRON", r"S[wq]/(S[dcl]\NP)" if is_subject else "S[wq]/(S[q]/NP)")

    def _verb_group(self, event: Event, style: Style, inverts: bool) -> tuple[list[Word], Word, list[Word]]:
        """Auxiliaries, the verb, the negation; the verb is the root of the clause."""
        lemma = SYNONYMS.get(event.verb, event.verb) if style.synonym else event.verb
        negation = [self._word("not", "PART", _VERB_PHRASE)] if event.negative else []
        if style.passive:
            verb = Word(self.language.past(lemma), lemma, "VERB", r"S[pss]\NP")
            be = "were" if event.patient.number > 1 else "was"
            auxiliary = self._word(be, "AUX", r"(S[q]/(S[pss]\NP))/NP" if inverts else r"(S[dcl]\NP)/(S[pss]\NP)")
        elif event.negative or inverts:
            verb = self._word(lemma, "VERB", r"(S[b]\NP)/NP")
            auxiliary = self._word("did", "AUX", r"(S[q]/(S[b]\NP))/NP" if inverts else r"(S[dcl]\NP)/(S[b]\NP)")
        else:
            verb = Word(self.language.past(lemma), lemma, "VERB", r"(S[dcl]\NP)/NP")
            return [], verb, negation
        _attach([auxiliary], auxiliary, "aux:pass" if style.passive else "aux", verb)
        for word in negation:
            _attach([word], word, "advmod", verb)
        return [auxiliary], verb, negation

    def _circumstances(
        self, event: Event, style: Style, asked: str | None, verb: Word
    ) -> tuple[list[Word], list[Word]]:
        """The phrases of place and time; a question names neither."""
        if asked is not None:
            return [], []
        place: list[Word] = []
        time: list[Word] = []
        if event.place is not None:
            noun_phrase, head = self._participant(Thing(event.place), "place")
            place = self._with_adposition("in", noun_phrase, head, f"({_VERB_PHRASE})/NP")
            _attach(place, head, "obl", verb)
        if event.time is not None:
            is_year = event.time in YEARS
            word = self._word(event.time, "NUM" if is_year else "PROPN", "N")
            word.role = "time"
            category = "(S/S)/NP" if style.fronted else f"({_VERB_PHRASE})/NP"
            time = self._with_adposition("in" if is_year else "on", [word], word, category)
            _attach(time, word, "obl", verb)
        return place, time

    def _with_adposition(
        self, lemma: str, phrase: list[Word], head: Word, category: str, *, final: bool = False
    ) -> list[Word]:
        adposition = self._word(lemma, "ADP", category)
        _attach([adposition], adposition, "case", head)
        return [*phrase, adposition] if final or self.language.features.postpositions else [adposition, *phrase]

    def _participant(self, thing: Thing, role: str | None, *, is_object: bool = False) -> tuple[list[Word], Word]:
        """The words of a noun phrase and its head."""
        if is_name(thing.kind):
            words = [Word(part, part, "PROPN", "N/N", "flat", None, role) for part in thing.kind.split()]
            head = words[0]
            words[-1].category = "N"
            words[-1].form = self.language.noun(words[-1].form, plural=False, is_object=is_object, is_definite=False)
            for word in words[1:]:
                word.head = head
            return words, head
        features = self.language.features
        article = None if thing.number > 1 else thing.article
        drops_article = article == "the" and features.article_as_suffix
        form = self.language.noun(thing.kind, plural=thing.number > 1, is_object=is_object, is_definite=drops_article)
        head = Word(form, thing.kind, "NOUN", "N", role=role)
        before: list[Word] = []
        if thing.number > 1:
            number = self._word(NUMBERS[thing.number], "NUM", "N/N")
            before += _attach([number], number, "nummod", head)
        elif article and not drops_article:
            determiner = self._word(article, "DET", "NP/N")
            before += _attach([determiner], determiner, "det", head)
        modifiers = []
        if thing.property is not None:
            modifier = self._word(thing.property, "ADJ", "N/N")
            modifiers += _attach([modifier], modifier, "amod", head)
        words = [*before, head, *modifiers] if features.adjective_after_noun else [*before, *modifiers, head]
        for word in words:
            word.role = role
        return words, head
