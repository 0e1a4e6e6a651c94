"""Random meanings, drawn from keyed generators so that no two uses disturb each other."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TypeVar

from xstilts.core.errors import UserError
from xstilts.synthetic.grammar import Style
from xstilts.synthetic.lexicon import (
    CITIES,
    FIRST_NAMES,
    HOMES,
    KINDS,
    NUMBERS,
    ORGANISATIONS,
    PLACES,
    PROPERTIES,
    SURNAMES,
    TIMES,
    TYPE_OF,
    VERBS,
    VERBS_OF,
)
from xstilts.synthetic.meaning import Event, Fact, Joined, Proposition, State, Thing

T = TypeVar("T")


def distinct(draw: Callable[[], T], num: int, *, key: Callable[[T], Hashable], taken: set[Hashable]) -> list[T]:
    """`num` draws whose keys differ from each other and from those `taken`, to which they are added."""
    found: list[T] = []
    for _ in range(200 * num + 1000):
        if len(found) == num:
            return found
        item = draw()
        if key(item) not in taken:
            taken.add(key(item))
            found.append(item)
    raise UserError(f"the artificial world has not {num} different examples of one dataset; lower world.num_*")


class Sampler:
    """Draws things, events and sentences' worth of meaning; equal keys give equal draws."""

    def __init__(self, *key: object) -> None:
        self.random = random.Random("/".join(map(str, key)))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[self.random.randrange(len(options))]

    def some(self, options: Sequence[T], num: int) -> list[T]:
        """`num` different options in random order."""
        return self.random.sample(options, num)

    def full_name(self) -> str:
        """First name and surname."""
        return f"{self.pick(FIRST_NAMES)} {self.pick(SURNAMES)}"

    def style(self) -> Style:
        """A random wording."""
        return Style(passive=self.chance(0.3), synonym=self.chance(0.5), fronted=self.chance(0.3))

    def agent(self, verb: str) -> Thing:
        """Somebody who can do it: a person by name or by trade, for trading also an organisation."""
        if verb in ("order", "trade") and self.chance(0.3):
            return Thing(self.pick(ORGANISATIONS))
        if self.chance(0.25):
            return Thing(self.full_name())
        return Thing(self.pick(FIRST_NAMES) if self.chance(0.6) else self.pick(KINDS["person"]))

    def patient(self, verb: str) -> Thing:
        """Something that it can be done to, sometimes described or several."""
        kind = self.pick(KINDS[self.pick(VERBS[verb].patients)])
        if TYPE_OF[kind] == "person" and self.chance(0.5):
            return Thing(self.pick(FIRST_NAMES))
        if self.chance(0.12):
            return Thing(kind, number=self.pick(tuple(NUMBERS)))
        return Thing(kind, self.pick(("the", "the", "a")), self.pick(PROPERTIES) if self.chance(0.3) else None)

    def event(self) -> Event:
        """Anything that can happen."""
        verb = self.pick(tuple(VERBS))
        agent, patient = self.agent(verb), self.patient(verb)
        while patient.kind == agent.kind:
            patient = self.patient(verb)
        return Event(
            agent,
            verb,
            patient,
            place=self.pick(PLACES if self.chance(0.6) else CITIES) if self.chance(0.6) else None,
            time=self.pick(TIMES) if self.chance(0.5) else None,
            negative=self.chance(0.1),
        )

    def simple_event(self, verb: str | None = None) -> Event:
        """A named person does something to one thing; nothing is said of place or time."""
        verb = verb or self.pick(tuple(VERBS))
        return self.event_on(self.pick(VERBS[verb].patients), verb)

    def event_on(self, patient_type: str, verb: str | None = None) -> Event:
        """A simple event whose patient is of this type."""
        verb = verb or self.pick(VERBS_OF[patient_type])
        return Event(Thing(self.pick(FIRST_NAMES)), verb, Thing(self.pick(KINDS[patient_type])))

    def fact(self) -> Fact:
        """A kind with its type or its home."""
        if self.chance(0.5):
            kind = self.pick(tuple(TYPE_OF))
            return Fact(kind, type=TYPE_OF[kind])
        home = self.pick(PLACES)
        return Fact(self.pick(HOMES[home]), home=home)

    def explained(self) -> Joined:
        """An event with its cause or with its effect."""
        event = self.simple_event()
        if self.chance(0.5):
            return Joined(event, "because", cause_of(event))
        return Joined(event, "and", effect_of(event))

    def proposition(self) -> Proposition:
        """What running text is made of: mostly events, some explained, some general facts."""
        draw = self.random.random()
        if draw < 0.55:
            return self.event()
        if draw < 0.85:
            return self.explained()
        return self.fact()


def cause_of(event: Event) -> State:
    """The state that makes the agent do it."""
    return _state_of(event, *VERBS[event.verb].cause)


def effect_of(event: Event) -> State:
    """The state that it brings about."""
    return _state_of(event, *VERBS[event.verb].effect)


def _state_of(event: Event, role: str, state: str) -> State:
    thing = event.agent if role == "agent" else event.patient
    return State(thing if thing.number > 1 else replace(thing, article="the", property=None), state)
