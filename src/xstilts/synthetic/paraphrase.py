"""Pairs that mean the same in other words or almost the same in almost the same words: QQP and PAWS-X."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from xstilts.synthetic.folder import Folder, code_of
from xstilts.synthetic.grammar import Style
from xstilts.synthetic.languages import ENGLISH
from xstilts.synthetic.lexicon import FIRST_NAMES, KINDS, PLACES, SYNONYMS, TIMES, VERBS, VERBS_OF, type_of
from xstilts.synthetic.meaning import Event, Question, Thing
from xstilts.synthetic.sampling import Sampler, distinct


@dataclass(frozen=True, slots=True)
class Pair:
    first: Event | Question
    second: Event | Question
    styles: tuple[Style, Style]
    """Different wordings."""

    @property
    def is_same(self) -> bool:
        """Whether both mean the same."""
        return self.first == self.second


def _styles(sampler: Sampler, verb: str) -> tuple[Style, Style]:
    first = sampler.style()
    if verb in SYNONYMS and sampler.chance(0.5):
        return first, replace(first, synonym=not first.synonym)
    return first, replace(first, passive=not first.passive)


def _changed(event: Event, sampler: Sampler, *, keep: str = "") -> Event:
    """The event with one participant or the verb exchanged, never the one that is to be kept."""
    kind_type = type_of(event.patient.kind)
    changes = {
        "agent": lambda: replace(event, agent=Thing(sampler.pick(FIRST_NAMES))),
        "patient": lambda: replace(event, patient=Thing(sampler.pick(KINDS[kind_type]))),
        "verb": lambda: replace(event, verb=sampler.pick(VERBS_OF[kind_type])),
    }
    changed = event
    while changed == event:
        changed = sampler.pick([change for role, change in changes.items() if role != keep])()
    return changed


def _unsaid(event: Event, role: str) -> Event:
    """The event with the same filler in this role whatever it was: a question is known by what it says."""
    if role == "agent":
        return replace(event, agent=Thing(FIRST_NAMES[0]))
    return replace(event, patient=Thing(VERBS[event.verb].patients[0])) if role == "patient" else event


def question_pairs(sampler: Sampler, num: int, taken: set[Hashable]) -> list[Pair]:
    """`num` pairs of questions, half of them duplicates."""

    def draw() -> Question:
        asked = sampler.pick(("agent", "patient", "place", "time"))
        return Question(_unsaid(sampler.simple_event(), asked), asked)

    pairs = []
    for index, question in enumerate(distinct(draw, num, key=lambda question: question, taken=taken)):
        other = question
        if index % 2 == 0:
            other = replace(question, event=_changed(question.event, sampler, keep=question.asked))
        pairs.append(Pair(question, other, _styles(sampler, question.event.verb)))
    return sampler.some(pairs, num)


def statement_pairs(sampler: Sampler, num: int, taken: set[Hashable]) -> list[Pair]:
    """`num` pairs of statements, half of them paraphrases; the others have the same words where two people can swap."""

    def draw() -> Event:
        event = sampler.simple_event()
        if type_of(event.patient.kind) == "person":
            agent, patient = sampler.some(FIRST_NAMES, 2)
            event = replace(event, agent=Thing(agent), patient=Thing(patient))
        return replace(event, place=sampler.pick(PLACES), time=sampler.pick(TIMES))

    pairs = []
    for index, event in enumerate(distinct(draw, num, key=lambda event: event, taken=taken)):
        other = event
        if index % 2 == 0:
            swaps = type_of(event.patient.kind) == "person"
            other = replace(event, agent=event.patient, patient=event.agent) if swaps else _changed(event, sampler)
        pairs.append(Pair(event, other, _styles(sampler, event.verb)))
    return sampler.some(pairs, num)


def _unrelated_pairs(sampler: Sampler, num: int) -> list[tuple[str, str, int]]:
    """Strings of made-up words with whether they begin alike, half of them; `q` and `x` stand in no other made-up word
    of the world."""
    words = ["".join((a, b, c)) for a in "qx" for b in "aeiouy" for c in "qx"]

    def string(first: str) -> str:
        return " ".join((first, *(sampler.pick(words) for _ in range(sampler.pick((3, 4, 5))))))

    pairs = []
    for index in range(num):
        first, other = sampler.some(words, 2)
        is_same = index % 2
        pairs.append((string(first), string(first if is_same else other), is_same))
    return sampler.some(pairs, num)


def write_paraphrase(folder: Folder) -> None:
    """QQP in GLUE's form, PAWS-X with English training data."""
    world = folder.world
    taken: set[Hashable] = set()
    for split, size in (("train", world.num_train), ("dev", world.num_dev)):
        if world.unrelated:
            labelled = _unrelated_pairs(folder.sampler("qqp", "unrelated", split), size)
        else:
            pairs = question_pairs(folder.sampler("qqp", split), size, taken)
            labelled = [(*_texts(folder, pair, ENGLISH), int(pair.is_same)) for pair in pairs]
        noise = folder.noise("qqp", split)
        rows = [
            (index, 2 * index + 1, 2 * index + 2, first, second, noise(label, (0, 1)))
            for index, (first, second, label) in enumerate(labelled)
        ]
        folder.write_tsv(f"qqp/{split}.tsv", [("id", "qid1", "qid2", "question1", "question2", "is_duplicate"), *rows])
    taken = set()
    for split, size in (("train", world.num_train), ("dev_2k", world.num_dev), ("test_2k", world.num_test)):
        pairs = statement_pairs(folder.sampler("pawsx", split), size, taken)
        for language in (ENGLISH,) if split == "train" else folder.all_languages:
            lines = [
                (index, *_texts(folder, pair, language), int(pair.is_same)) for index, pair in enumerate(pairs, start=1)
            ]
            path = f"pawsx/{code_of(language, 'en')}/{split}.tsv"
            folder.write_tsv(path, [("id", "sentence1", "sentence2", "label"), *lines])


def _texts(folder: Folder, pair: Pair, language: str) -> tuple[str, str]:
    return (
        folder.text(pair.first, pair.styles[0], language),
        folder.text(pair.second, pair.styles[1], language),
    )
