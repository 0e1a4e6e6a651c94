"""What sentences say, apart from any language, and what follows from what.

A proposition is a sentence's meaning. `relation` decides entailment between two events under one reading:
"the dog" is the same dog in both sentences, and one agent does one thing to one patient once, in one place at
one time. Only patients may be whole types ("an animal").
"""

from __future__ import annotations

from dataclasses import dataclass

from xstilts.synthetic.lexicon import is_name, type_of


@dataclass(frozen=True, slots=True)
class Thing:
    """A participant: a name, a kind ("the dog") or a whole type ("an animal")."""

    kind: str
    article: str = "the"
    """`the`, `a`, `every`, `no`; without meaning for a name and for several."""
    property: str | None = None
    number: int = 1


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody did something to something, somewhere, at some time."""

    agent: Thing
    verb: str
    patient: Thing
    place: str | None = None
    """A place of the lexicon or a city."""
    time: str | None = None
    negative: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A thing was in a state ("the car was dirty")."""

    thing: Thing
    state: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A kind is of a type ("a dog is an animal") or at home in a place ("a cow is in the farm")."""

    kind: str
    type: str | None = None
    home: str | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """Two propositions linked by `and` or `because`."""

    first: Event | State
    link: str
    second: Event | State


@dataclass(frozen=True, slots=True)
class Question:
    """Asks for one role of an event: `agent`, `patient`, `place` or `time`; other circumstances stay unsaid."""

    event: Event
    asked: str


Proposition = Event | State | Fact | Joined | Question

ENTAILMENT, NEUTRAL, CONTRADICTION = "entailment", "neutral", "contradiction"
LABELS = (ENTAILMENT, NEUTRAL, CONTRADICTION)


def _is_whole_type(thing: Thing) -> bool:
    return type_of(thing.kind) == thing.kind


def _is_denial(event: Event) -> bool:
    return event.negative or event.agent.article == "no"


def _is_general(event: Event) -> bool:
    return event.agent.article in ("every", "no") and not is_name(event.agent.kind)


def _patient_implies(one: Thing, other: Thing) -> bool:
    if other.property not in (None, one.property) or one.number != other.number:
        return False
    return one.kind == other.kind or (_is_whole_type(other) and type_of(one.kind) == other.kind)


def _deed_implies(one: Event, other: Event) -> bool:
    """Whether doing `one` is a way of doing `other`, whoever does it."""
    return (
        one.verb == other.verb
        and _patient_implies(one.patient, other.patient)
        and other.place in (None, one.place)
        and other.time in (None, one.time)
    )


def _deeds_exclude(one: Event, other: Event) -> bool:
    """Whether the two deeds are one deed said to be in two places or at two times."""
    return (
        one.verb == other.verb
        and (_patient_implies(one.patient, other.patient) or _patient_implies(other.patient, one.patient))
        and not _is_whole_type(one.patient)
        and not _is_whole_type(other.patient)
        and (_differ(one.place, other.place) or _differ(one.time, other.time))
    )


def _differ(one: str | None, other: str | None) -> bool:
    return None not in (one, other) and one != other


def _subject_implies(one: Event, other: Event) -> bool:
    return one.agent.kind == other.agent.kind and (_is_general(one) or not _is_general(other))


def entails(premise: Event, hypothesis: Event) -> bool:
    """Whether the hypothesis is true wherever the premise is."""
    if not _subject_implies(premise, hypothesis):
        return False
    if _is_denial(premise):
        return _is_denial(hypothesis) and _deed_implies(hypothesis, premise)
    if _is_denial(hypothesis):
        return _deeds_exclude(premise, hypothesis)
    return _deed_implies(premise, hypothesis)


def contradicts(premise: Event, hypothesis: Event) -> bool:
    """Whether the two cannot be true together."""
    if premise.agent.kind != hypothesis.agent.kind:
        return False
    if _is_denial(premise) == _is_denial(hypothesis):
        return not _is_denial(premise) and _deeds_exclude(premise, hypothesis)
    done, denied = (hypothesis, premise) if _is_denial(premise) else (premise, hypothesis)
    return _deed_implies(done, denied)


def relation(premise: Event, hypothesis: Event) -> str:
    """`entailment`, `contradiction` or `neutral`."""
    if entails(premise, hypothesis):
        return ENTAILMENT
    return CONTRADICTION if contradicts(premise, hypothesis) else NEUTRAL
