"""What follows from what, by hand and against random situations."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from xstilts.synthetic.inference import inferences
from xstilts.synthetic.lexicon import KINDS, type_of
from xstilts.synthetic.meaning import Event, Thing, relation
from xstilts.synthetic.sampling import Sampler

ANNA, TEACHER = Thing("Anna"), Thing("teacher")
CAR = Thing("car")
WASHED = Event(ANNA, "wash", CAR, place="school", time="Monday")


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        (WASHED, replace(WASHED, place=None), "entailment"),
        (WASHED, replace(WASHED, patient=Thing("vehicle", "a")), "entailment"),
        (replace(WASHED, patient=Thing("car", property="red")), WASHED, "entailment"),
        (replace(WASHED, agent=Thing("teacher", "every")), replace(WASHED, agent=TEACHER), "entailment"),
        (
            Event(ANNA, "wash", Thing("vehicle", "a"), negative=True),
            Event(ANNA, "wash", CAR, negative=True),
            "entailment",
        ),
        (
            Event(Thing("teacher", "no"), "wash", CAR),
            Event(TEACHER, "wash", CAR, place="farm", negative=True),
            "entailment",
        ),
        (WASHED, replace(WASHED, place="farm", negative=True), "entailment"),
        (WASHED, replace(WASHED, negative=True), "contradiction"),
        (WASHED, replace(WASHED, place="farm"), "contradiction"),
        (WASHED, replace(WASHED, time="Sunday", place=None), "contradiction"),
        (replace(WASHED, agent=TEACHER), replace(WASHED, agent=Thing("teacher", "no")), "contradiction"),
        (replace(WASHED, place=None), WASHED, "neutral"),
        (WASHED, replace(WASHED, agent=Thing("Boris")), "neutral"),
        (WASHED, replace(WASHED, patient=Thing("boat")), "neutral"),
        (WASHED, replace(WASHED, patient=Thing("car", property="red")), "neutral"),
        (replace(WASHED, patient=Thing("vehicle", "a")), WASHED, "neutral"),
        (replace(WASHED, agent=TEACHER), replace(WASHED, agent=Thing("teacher", "every")), "neutral"),
        (Event(ANNA, "wash", CAR, place="farm", negative=True), Event(ANNA, "wash", CAR, negative=True), "neutral"),
        (Event(ANNA, "wash", Thing("animal", "a")), Event(ANNA, "wash", Thing("dog")), "neutral"),
        (replace(WASHED, patient=Thing("vehicle", "a")), replace(WASHED, patient=CAR, place="farm"), "neutral"),
    ],
)
def test_relation_by_hand(premise: Event, hypothesis: Event, label: str) -> None:
    assert relation(premise, hypothesis) == label


Situation = dict[tuple[str, str, str], tuple[str, str]]
"""(individual, verb, patient) -> (place, time) of what was done; an individual `teacher 1` is one of two teachers."""


def _holds(event: Event, situation: Situation, properties: set[tuple[str, str]]) -> bool:
    """Truth in a situation by enumeration: "the teacher" is `teacher 0`, "every" and "no" speak of both."""
    patients = KINDS.get(event.patient.kind, (event.patient.kind,))

    def did(individual: str) -> bool:
        return any(
            (individual, event.verb, patient) in situation
            and event.place in (None, situation[individual, event.verb, patient][0])
            and event.time in (None, situation[individual, event.verb, patient][1])
            and (event.patient.property is None or (patient, event.patient.property) in properties)
            for patient in patients
        )

    kind = event.agent.kind
    both = (did(f"{kind} 0"), did(f"{kind} 1"))
    if event.agent.article in ("every", "no") and not kind[0].isupper():
        return all(both) if event.agent.article == "every" else not any(both)
    return both[0] != event.negative


def _situation_about(events: tuple[Event, ...], generator: random.Random) -> tuple[Situation, set[tuple[str, str]]]:
    """A random situation in which the individuals, patients, places and times of the events are common."""
    patients = sorted({kind for event in events for kind in KINDS.get(event.patient.kind, (event.patient.kind,))[:2]})
    agents = sorted({f"{event.agent.kind} {number}" for event in events for number in (0, 1)})
    deeds = [(agent, verb, kind) for agent in agents for verb in {e.verb: 0 for e in events} for kind in patients]
    places = [event.place for event in events if event.place] + ["elsewhere"]
    times = [event.time for event in events if event.time] + ["another time"]
    share = generator.choice((0.1, 0.5, 0.9))
    done = [deed for deed in deeds if generator.random() < share]
    described = {(kind, event.patient.property or "") for kind in patients for event in events}
    return (
        {deed: (generator.choice(places), generator.choice(times)) for deed in done},
        {pair for pair in sorted(described) if generator.random() < 0.5},
    )


def test_labels_hold_in_random_situations() -> None:
    """Entailment has no counterexample, contradiction no common model, neutral has both."""
    generator = random.Random(0)
    items = inferences(Sampler("test"), 300, num_others=0, taken=set())
    assert {item.label for item in items} == {"entailment", "neutral", "contradiction"}
    for item in items:
        (premise,) = item.premise
        expected = {"entailment": {True}, "contradiction": {False}, "neutral": {True, False}}[item.label]
        seen: set[bool] = set()
        for attempt in range(20_000):
            if seen == expected and (attempt > 300 or item.label == "neutral"):
                break
            situation, properties = _situation_about((premise, item.hypothesis), generator)
            if _holds(premise, situation, properties):
                seen.add(_holds(item.hypothesis, situation, properties))
        assert seen == expected, item


def test_type_of_names_kinds_and_types() -> None:
    assert (type_of("Anna Berg"), type_of("dog"), type_of("animal")) == ("person", "animal", "animal")
