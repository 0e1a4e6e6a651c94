"""Passages with questions about who did what, where and when: SQuAD, XQuAD, TyDiQA-GoldP, MLQA and LAReQA.

Agents and deeds in one passage differ, so that what a question says picks one event, and every answer is the words
of one participant. A question without an answer asks for what its event does not mention, or ascribes one
person's deed to another; it looks like the ones with an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from xstilts.synthetic.folder import Folder, Noise, code_of
from xstilts.synthetic.grammar import Style
from xstilts.synthetic.languages import ENGLISH
from xstilts.synthetic.lexicon import CITIES, FIRST_NAMES, KINDS, PLACES, PROPERTIES, TIMES, VERBS, type_of
from xstilts.synthetic.meaning import Event, Question, Thing
from xstilts.synthetic.sampling import Sampler

ROLES = ("agent", "patient", "place", "time")


@dataclass(frozen=True, slots=True)
class Query:
    question: Question
    style: Style
    sentence: int | None
    """Which sentence of the passage answers it; None: none does."""


@dataclass(frozen=True, slots=True)
class Passage:
    events: tuple[Event, ...]
    styles: tuple[Style, ...]
    queries: tuple[Query, ...]


def _events(sampler: Sampler, num_others: int) -> list[Event]:
    num = sampler.pick((3, 3, 4)) + num_others
    agents, verbs = sampler.some(FIRST_NAMES, num), sampler.some(tuple(VERBS), num)
    places, times = sampler.some((*PLACES, *CITIES), num), sampler.some(TIMES, num)
    events = []
    for agent, verb, place, time in zip(agents, verbs, places, times, strict=True):
        kind = sampler.pick(KINDS[sampler.pick(VERBS[verb].patients)])
        thing = Thing(kind, property=sampler.pick(PROPERTIES) if sampler.chance(0.25) else None)
        circumstances = sampler.pick((("place",), ("time",), ("place", "time")))
        events.append(
            Event(
                Thing(agent),
                verb,
                thing,
                place=place if "place" in circumstances else None,
                time=time if "time" in circumstances else None,
            )
        )
    return events


def _query(events: Sequence[Event], sampler: Sampler, *, answerable: bool, reworded: bool) -> Query:
    """The role is drawn before anything else, so that it does not tell whether there is an answer."""
    style = Style(passive=sampler.chance(0.5 if reworded else 0.15), synonym=reworded and sampler.chance(0.5))
    asked = sampler.pick(ROLES)
    index = sampler.random.randrange(len(events))
    event = events[index]
    while answerable and getattr(event, asked) is None:
        index = sampler.random.randrange(len(events))
        event, asked = events[index], asked if sampler.chance(0.5) else sampler.pick(("place", "time"))
    if answerable:
        return Query(Question(event, asked), style, index)
    if getattr(event, asked) is None:
        return Query(Question(event, asked), style, None)
    if asked == "agent":
        kinds = [kind for kind in KINDS[type_of(event.patient.kind)] if kind != event.patient.kind]
        wrong = replace(event, patient=replace(event.patient, kind=sampler.pick(kinds)))
    else:
        wrong = replace(event, agent=sampler.pick([other.agent for other in events if other is not event]))
    return Query(Question(wrong, asked), style, None)


def passages(
    sampler: Sampler,
    num_questions: int,
    *,
    no_answer: bool = False,
    reworded: bool = False,
    per_passage: int = 3,
    num_others: int = 0,
) -> list[Passage]:
    """Passages that together hold `num_questions`, with `no_answer` every second one without an answer; `num_others`
    makes each of them so many sentences longer."""
    found: list[Passage] = []
    asked = 0
    while asked < num_questions:
        events = _events(sampler, num_others)
        queries: list[Query] = []
        while len(queries) < min(per_passage, num_questions - asked):
            answerable = not (no_answer and (asked + len(queries)) % 2)
            query = _query(events, sampler, answerable=answerable, reworded=reworded)
            if query.question not in [other.question for other in queries]:
                queries.append(query)
        asked += len(queries)
        styles = tuple(Style(passive=sampler.chance(0.2), fronted=sampler.chance(0.3)) for _ in events)
        found.append(Passage(tuple(events), styles, tuple(queries)))
    return found


@dataclass(frozen=True, slots=True)
class Context:
    """A passage in one language."""

    text: str
    breaks: tuple[tuple[int, int], ...]
    """Offsets [start, end) of its sentences."""
    spans: tuple[dict[str, tuple[int, int] | None], ...]
    """For each sentence, where each participant stands in the text."""


def context_of(folder: Folder, passage: Passage, language: str) -> Context:
    """The passage's sentences in a language, joined by blanks."""
    text, breaks, spans = "", [], []
    for event, style in zip(passage.events, passage.styles, strict=True):
        sentence = folder.sentence(event, style, language)
        start = len(text) + (1 if text else 0)
        text += (" " if text else "") + sentence.text
        breaks.append((start, len(text)))
        found = {role: sentence.span(role) for role in ROLES}
        spans.append({role: span and (span[0] + start, span[1] + start) for role, span in found.items()})
    return Context(text, tuple(breaks), tuple(spans))


def document(
    folder: Folder,
    items: Sequence[Passage],
    context_language: str,
    question_language: str,
    prefix: str,
    *,
    version: str | None,
    with_sentences: bool = False,
    noise: Noise | None = None,
) -> dict[str, Any]:
    """A SQuAD document, one article per passage; `version` 2.0 marks the questions without answer. With `noise`, some
    answers are the words of another participant."""
    articles = []
    for number, passage in enumerate(items):
        context = context_of(folder, passage, context_language)
        questions = []
        for index, query in enumerate(passage.queries):
            answers = []
            if query.sentence is not None:
                span = context.spans[query.sentence][query.question.asked]
                assert span is not None, "the answer is mentioned in its sentence"
                if noise is not None:
                    span = noise(span, [other for found in context.spans for other in found.values() if other])
                answers = [{"text": context.text[span[0] : span[1]], "answer_start": span[0]}]
            text = folder.text(query.question, query.style, question_language)
            row: dict[str, Any] = {"id": f"{prefix}-{number}-{index}", "question": text, "answers": answers}
            questions.append(row | ({"is_impossible": not answers} if version == "v2.0" else {}))
        paragraph: dict[str, Any] = {"context": context.text, "qas": questions}
        if with_sentences:
            paragraph["sentences"] = [context.text[start:end] for start, end in context.breaks]
            paragraph["sentence_breaks"] = [list(pair) for pair in context.breaks]
        articles.append({"title": f"{prefix} {number}", "paragraphs": [paragraph]})
    return {"data": articles} | ({"version": version} if version else {})


def write_reading(folder: Folder) -> None:
    """SQuAD v1.1 and v2.0, XQuAD, MLQA, LAReQA and TyDiQA-GoldP."""
    world = folder.world
    for split, size in (("train", world.num_train), ("dev", world.num_dev)):
        items = passages(folder.sampler("squad_v1", split), size, num_others=folder.num_distractors("squad_v1"))
        noise = folder.noise("squad_v1", split)
        document_v1 = document(folder, items, ENGLISH, ENGLISH, f"squad1-{split}", version="1.1", noise=noise)
        folder.write_json(f"squad_v1/{split}-v1.1.json", document_v1)
        num_others = folder.num_distractors("squad_v2")
        items = passages(folder.sampler("squad_v2", split), size, no_answer=True, num_others=num_others)
        noise = folder.noise("squad_v2", split)
        document_v2 = document(folder, items, ENGLISH, ENGLISH, f"squad2-{split}", version="v2.0", noise=noise)
        folder.write_json(f"squad_v2/{split}-v2.0.json", document_v2)
    items = passages(folder.sampler("xquad"), world.num_test)
    for language in folder.all_languages:
        code = code_of(language, "en")
        xquad = document(folder, items, language, language, "xquad", version="1.1")
        folder.write_json(f"xquad/xquad.{code}.json", xquad)
        lareqa = document(folder, items, language, language, "lareqa", version="1.1", with_sentences=True)
        folder.write_json(f"lareqa/{code}.json", lareqa)
    for split, size in (("dev", world.num_dev), ("test", world.num_test)):
        items = passages(folder.sampler("mlqa", split), size)
        for context in folder.all_languages:
            for question in folder.all_languages:
                name = f"{split}-context-{code_of(context, 'en')}-question-{code_of(question, 'en')}.json"
                mlqa = document(folder, items, context, question, "mlqa", version="1.0")
                folder.write_json(f"mlqa/{split}/{name}", mlqa)
    train = passages(folder.sampler("tydiqa", "train"), world.num_train, reworded=True, per_passage=1)
    training = document(folder, train, ENGLISH, ENGLISH, "english-train", version=None)
    folder.write_json("tydiqa_goldp/english_tydiqa_train.json", training)
    for language in folder.all_languages:
        name = code_of(language, "english")
        own = passages(folder.sampler("tydiqa", name), world.num_test, reworded=True, per_passage=1)
        dev = document(folder, own, language, language, name, version=None)
        folder.write_json(f"tydiqa_goldp/{name}_tydiqa_dev.json", dev)
