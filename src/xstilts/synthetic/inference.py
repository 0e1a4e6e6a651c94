"""Sentence pairs whose label follows from their meaning: ANLI, MNLI, SNLI and XNLI.

Every hypothesis occurs three times, once with each label, so that it tells nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from xstilts.synthetic.folder import Folder, code_of
from xstilts.synthetic.grammar import Style
from xstilts.synthetic.languages import ENGLISH
from xstilts.synthetic.lexicon import FIRST_NAMES, KINDS, PLACES, PROPERTIES, TIMES, TYPE_OF, VERBS_OF, is_name, type_of
from xstilts.synthetic.meaning import LABELS, Event, Thing, relation
from xstilts.synthetic.sampling import Sampler, distinct


@dataclass(frozen=True, slots=True)
class Inference:
    premise: tuple[Event, ...]
    """Sentences; the label follows from one of them, the others are about other people."""
    hypothesis: Event
    label: str
    styles: tuple[Style, ...]
    """Wording of the premise's sentences, then of the hypothesis."""


def _hypothesis(sampler: Sampler) -> Event:
    event = sampler.simple_event()
    draw = sampler.random.random()
    if draw < 0.4:
        article = "every" if draw < 0.1 else "no" if draw < 0.2 else "the"
        trades = [kind for kind in KINDS["person"] if kind != event.patient.kind]
        event = replace(event, agent=Thing(sampler.pick(trades), article))
    if sampler.chance(0.2):
        event = replace(event, patient=Thing(type_of(event.patient.kind), "a"))
    return replace(
        event,
        place=sampler.pick(PLACES) if sampler.chance(0.5) else None,
        time=sampler.pick(TIMES) if sampler.chance(0.5) else None,
        negative=event.agent.article == "the" and sampler.chance(0.3),
    )


def _place(event: Event, sampler: Sampler) -> Event:
    return replace(event, place=None if event.place and sampler.chance(0.3) else sampler.pick(PLACES))


def _time(event: Event, sampler: Sampler) -> Event:
    return replace(event, time=None if event.time and sampler.chance(0.3) else sampler.pick(TIMES))


def _polarity(event: Event, sampler: Sampler) -> Event:
    if event.agent.article == "no":
        return replace(event, agent=replace(event.agent, article="every"))
    if event.agent.article == "every":
        return replace(event, agent=replace(event.agent, article="no"))
    return replace(event, negative=not event.negative)


def _agent(event: Event, sampler: Sampler) -> Event:
    kind = sampler.pick(FIRST_NAMES if is_name(event.agent.kind) else KINDS["person"])
    return replace(event, agent=replace(event.agent, kind=kind))


def _quantity(event: Event, sampler: Sampler) -> Event:
    if is_name(event.agent.kind) or event.negative:
        return event
    return replace(event, agent=replace(event.agent, article=sampler.pick(("the", "every", "no"))))


def _verb(event: Event, sampler: Sampler) -> Event:
    return replace(event, verb=sampler.pick(VERBS_OF[type_of(event.patient.kind)]))


def _patient(event: Event, sampler: Sampler) -> Event:
    kind_type = type_of(event.patient.kind)
    is_type = kind_type == event.patient.kind
    if is_type or sampler.chance(0.7):
        return replace(event, patient=Thing(sampler.pick(KINDS[kind_type])))
    return replace(event, patient=Thing(kind_type, "a"))


def _property(event: Event, sampler: Sampler) -> Event:
    if event.patient.kind not in TYPE_OF:
        return event
    described = None if event.patient.property else sampler.pick(PROPERTIES)
    return replace(event, patient=replace(event.patient, property=described))


_EDITS: tuple[Callable[[Event, Sampler], Event], ...] = (
    _place, _time, _polarity, _agent, _quantity, _verb, _patient, _property,
)  # fmt: skip


def _premise(hypothesis: Event, label: str, sampler: Sampler) -> Event:
    while True:
        premise = hypothesis
        for edit in sampler.some(_EDITS, sampler.pick((0, 1, 1, 2, 2, 3))):
            premise = edit(premise, sampler)
        if premise.patient.kind != premise.agent.kind and relation(premise, hypothesis) == label:
            return premise


def inferences(sampler: Sampler, num: int, *, num_others: int, taken: set[Hashable]) -> list[Inference]:
    """`num` examples, label-balanced, with `num_others` unrelated sentences around the one that decides."""
    found: list[Inference] = []
    num_hypotheses = -(-num // len(LABELS))
    for hypothesis in distinct(lambda: _hypothesis(sampler), num_hypotheses, key=lambda event: event, taken=taken):
        for label in LABELS:
            premise = _premise(hypothesis, label, sampler)
            others = [sampler.simple_event() for _ in range(num_others)]
            others = [other for other in others if other.agent.kind != hypothesis.agent.kind]
            sentences = sampler.some([premise, *others], 1 + len(others))
            styles = tuple(sampler.style() for _ in range(len(sentences) + 1))
            found.append(Inference(tuple(sentences), hypothesis, label, styles))
    return sampler.some(found[:num], num)


def text_of_premise(folder: Folder, item: Inference, language: str) -> str:
    """The premise's sentences in a language."""
    pairs = zip(item.premise, item.styles[:-1], strict=True)
    return " ".join(folder.text(event, style, language) for event, style in pairs)


def text_of_hypothesis(folder: Folder, item: Inference, language: str) -> str:
    """The hypothesis in a language."""
    return folder.text(item.hypothesis, item.styles[-1], language)


_MNLI_COLUMNS = (
    "index", "promptID", "pairID", "genre",
    "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse", "sentence1", "sentence2",
)  # fmt: skip
_XNLI_COLUMNS = (
    "language", "gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse",
    "sentence1", "sentence2", "promptID", "pairID", "genre", "label1", "label2", "label3", "label4", "label5",
    "sentence1_tokenized", "sentence2_tokenized", "match",
)  # fmt: skip


def write_inference(folder: Folder) -> None:
    """ANLI's three rounds, MNLI in GLUE's form, SNLI's JSON lines and XNLI's tables."""
    world = folder.world
    sizes = {"train": world.num_train, "dev": world.num_dev, "test": world.num_test}
    for number in (1, 2, 3):
        taken: set[Hashable] = set()
        for split, size in sizes.items():
            items = inferences(folder.sampler("anli", number, split), max(1, size // 3), num_others=number, taken=taken)
            noise = folder.noise("anli", f"{split}-{number}")
            folder.write_jsonl(f"anli/R{number}/{split}.jsonl", (
                {
                    "uid": f"r{number}-{split}-{index}", "context": text_of_premise(folder, item, ENGLISH),
                    "hypothesis": text_of_hypothesis(folder, item, ENGLISH), "label": noise(item.label, LABELS)[0],
                    "reason": "",
                }
                for index, item in enumerate(items)
            ))  # fmt: skip
    taken = set()
    for name, size in (("train", world.num_train), ("dev_matched", world.num_dev), ("dev_mismatched", world.num_dev)):
        labels = ("label1",) if name == "train" else tuple(f"label{number}" for number in range(1, 6))
        num_others = folder.num_distractors("mnli")
        items = inferences(folder.sampler("mnli", name), size, num_others=num_others, taken=taken)
        noise = folder.noise("mnli", name)
        items = [replace(item, label=noise(item.label, LABELS)) for item in items]
        rows = [
            (
                index, f"{index}", f"{index}{item.label[0]}", "fiction", *("" for _ in range(4)),
                text_of_premise(folder, item, ENGLISH), text_of_hypothesis(folder, item, ENGLISH),
                *(item.label for _ in labels), item.label,
            )
            for index, item in enumerate(items)
        ]  # fmt: skip
        folder.write_tsv(f"mnli/{name}.tsv", [(*_MNLI_COLUMNS, *labels, "gold_label"), *rows])
    taken = set()
    for split, size in sizes.items():
        num_others = folder.num_distractors("snli")
        items = inferences(folder.sampler("snli", split), size, num_others=num_others, taken=taken)
        noise = folder.noise("snli", split)
        items = [replace(item, label=noise(item.label, LABELS)) for item in items]
        folder.write_jsonl(f"snli/snli_1.0_{split}.jsonl", (
            {
                "annotator_labels": [item.label], "captionID": f"{split}-{index}", "gold_label": item.label,
                "pairID": f"{split}-{index}{item.label[0]}", "sentence1": text_of_premise(folder, item, ENGLISH),
                "sentence2": text_of_hypothesis(folder, item, ENGLISH),
            }
            for index, item in enumerate(items)
        ))  # fmt: skip
    _write_xnli(folder)


def _write_xnli(folder: Folder) -> None:
    taken: set[Hashable] = set()
    for split, size in (("dev", folder.world.num_dev), ("test", folder.world.num_test)):
        items = inferences(folder.sampler("xnli", split), size, num_others=0, taken=taken)
        rows = []
        for language in folder.all_languages:
            for index, item in enumerate(items):
                texts = text_of_premise(folder, item, language), text_of_hypothesis(folder, item, language)
                labels = (item.label,) * 5
                numbers = (index // 3, index, "fiction")
                parses = ("",) * 4
                rows.append((code_of(language, "en"), item.label, *parses, *texts, *numbers, *labels, *texts, True))
        folder.write_tsv(f"xnli/xnli.{split}.tsv", [_XNLI_COLUMNS, *rows])
