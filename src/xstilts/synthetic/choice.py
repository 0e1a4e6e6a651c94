"""Questions with several answers, one of them right by cause, effect, type or home.

HellaSwag, Cosmos QA, CommonsenseQA, Social IQa, COPA and XCOPA.

The options are drawn first, all alike, then which one is right, then the question that makes it so: no option is
likelier than another before the question is read.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial

from xstilts.synthetic.folder import Folder, code_of
from xstilts.synthetic.grammar import Style
from xstilts.synthetic.languages import ENGLISH
from xstilts.synthetic.lexicon import FIRST_NAMES, HOMES, KINDS, VERBS_OF
from xstilts.synthetic.meaning import Event, State, Thing
from xstilts.synthetic.sampling import Sampler, cause_of, distinct, effect_of


@dataclass(frozen=True, slots=True)
class Deed:
    """An event and states, one of which is its cause or effect and the others those of other events."""

    event: Event
    asked: str
    """`cause` or `effect`."""
    options: tuple[State, ...]
    label: int
    style: Style


def _deed(sampler: Sampler, num_options: int) -> Deed:
    """The options are states of one participant, brought about by different verbs that take the same patient."""
    asked = sampler.pick(("cause", "effect"))
    state_of = cause_of if asked == "cause" else effect_of
    while True:
        patient_type = sampler.pick(tuple(KINDS))
        event = sampler.event_on(patient_type)
        if event.agent.kind == event.patient.kind:
            continue
        role = sampler.pick(("agent", "patient"))
        thing = event.agent if role == "agent" else event.patient
        verbs = [verb for verb in VERBS_OF[patient_type] if state_of(replace(event, verb=verb)).thing == thing]
        if len(verbs) >= num_options:
            break
    chosen = sampler.some(verbs, num_options)
    label = sampler.random.randrange(num_options)
    options = tuple(state_of(replace(event, verb=verb)) for verb in chosen)
    return Deed(replace(event, verb=chosen[label]), asked, options, label, sampler.style())


def _deeds(sampler: Sampler, num: int, num_options: int, taken: set[Hashable]) -> list[Deed]:
    """Different deeds: no two have the same event and the same options."""
    return distinct(
        partial(_deed, sampler, num_options), num, key=lambda deed: (deed.event, frozenset(deed.options)), taken=taken
    )


def _write_copa(folder: Folder) -> None:
    world = folder.world
    sizes = (("train", world.num_train), ("val", world.num_dev), ("test", world.num_test))
    taken: set[Hashable] = set()
    for split, size in sizes:
        deeds = _deeds(folder.sampler("copa", split), size, 2, taken)
        for language in (ENGLISH,) if split == "train" else folder.all_languages:
            rows = [
                {
                    "premise": folder.text(deed.event, deed.style, language),
                    "choice1": folder.text(deed.options[0], language=language),
                    "choice2": folder.text(deed.options[1], language=language),
                    "question": deed.asked,
                    "label": deed.label,
                    "idx": index,
                }
                for index, deed in enumerate(deeds)
            ]
            if language == ENGLISH:
                folder.write_jsonl(f"copa/{split}.jsonl", rows)
            if split != "train":
                code = code_of(language, "en")
                folder.write_jsonl(f"xcopa/{code}/{split}.{code}.jsonl", [row | {"changed": False} for row in rows])


def _write_siqa(folder: Folder) -> None:
    taken: set[Hashable] = set()
    for split, size in (("train", folder.world.num_train), ("dev", folder.world.num_dev)):
        deeds = _deeds(folder.sampler("siqa", split), size, 3, taken)
        rows = []
        for deed in deeds:
            question = f"why did {deed.event.agent.kind} do this?" if deed.asked == "cause" else "what happened next?"
            answers = (folder.text(option).removesuffix(".") for option in deed.options)
            texts = dict(zip(("answerA", "answerB", "answerC"), answers, strict=True))
            rows.append({"context": folder.text(deed.event, deed.style), "question": question, **texts})
        folder.write_jsonl(f"siqa/{split}.jsonl", rows)
        folder.write_lines(f"siqa/{split}-labels.lst", (str(deed.label + 1) for deed in deeds))


def _write_cosmos_qa(folder: Folder) -> None:
    """The deed asked about is one of three in the context; the right answer may be that no other is."""
    taken: set[Hashable] = set()
    for split, size in (("train", folder.world.num_train), ("valid", folder.world.num_dev)):
        sampler = folder.sampler("cosmos_qa", split)
        deeds = _deeds(sampler, size, 4, taken)
        noise = folder.noise("cosmos_qa", split)
        rows: list[tuple[object, ...]] = [("id", "context", "question", *(f"answer{i}" for i in range(4)), "label")]
        for index, deed in enumerate(deeds):
            others = [name for name in FIRST_NAMES if name != deed.event.agent.kind]
            num_others = 2 + folder.num_distractors("cosmos_qa")
            events = [replace(sampler.simple_event(), agent=Thing(name)) for name in sampler.some(others, num_others)]
            context = " ".join(folder.text(event) for event in sampler.some([deed.event, *events], 1 + num_others))
            verb = f"{deed.event.verb} the {deed.event.patient.kind}" if sampler.chance(0.5) else "do it"
            name = deed.event.agent.kind
            question = f"why did {name} {verb}?" if deed.asked == "cause" else f"what happened after {name} did it?"
            answers = [folder.text(option) for option in deed.options]
            # The last of the four states gives way to the refusal, which is right when that state would have been.
            position = sampler.random.randrange(4)
            answers[position] = "none of the above choices."
            rows.append((f"{split}-{index}", context, question, *answers, noise(deed.label, range(4))))
        folder.write_csv(f"cosmos_qa/{split}.csv", rows)


def _write_hellaswag(folder: Folder) -> None:
    """A state of somebody or something, and four things that this person may do about it."""
    taken: set[Hashable] = set()

    def draw(sampler: Sampler) -> tuple[Event, tuple[str, ...], int]:
        patient_type = sampler.pick(tuple(KINDS))
        event = sampler.event_on(patient_type)
        return event, tuple(sampler.some(VERBS_OF[patient_type], 4)), sampler.random.randrange(4)

    for split, size in (("train", folder.world.num_train), ("val", folder.world.num_dev)):
        sampler = folder.sampler("hellaswag", split)
        scenes = distinct(partial(draw, sampler), size, key=lambda scene: scene, taken=taken)
        noise = folder.noise("hellaswag", split)
        rows = []
        for index, (event, verbs, label) in enumerate(scenes):
            begin = folder.text(cause_of(replace(event, verb=verbs[label])))
            name = event.agent.kind
            endings = [folder.text(replace(event, verb=verb)).removeprefix(f"{name} ") for verb in verbs]
            rows.append(
                {
                    "ind": index, "activity_label": "Life", "ctx_a": begin, "ctx_b": name, "ctx": f"{begin} {name}",
                    "split": split, "split_type": "indomain", "label": noise(label, range(4)), "endings": endings,
                    "source_id": f"world~{split}_{index}",
                }
            )  # fmt: skip
        folder.write_jsonl(f"hellaswag/hellaswag_{split}.jsonl", rows)


def _write_commonsense_qa(folder: Folder) -> None:
    """Which of five kinds is of a type, which of five places is a kind's home."""
    taken: set[Hashable] = set()

    def draw(sampler: Sampler) -> tuple[str, str, tuple[str, ...], int]:
        label, name = sampler.random.randrange(5), sampler.pick(FIRST_NAMES)
        if sampler.chance(0.5):
            types = sampler.some(tuple(KINDS), 5)
            article = "an" if types[label][0] == "a" else "a"
            stem = f"{name} is looking for {article} {types[label]}. what may {name} take?"
            return stem, types[label], tuple(sampler.pick(KINDS[kind_type]) for kind_type in types), label
        homes = sampler.some(tuple(HOMES), 5)
        kind = sampler.pick(HOMES[homes[label]])
        return f"{name} is looking for the {kind}. where is the {kind}?", kind, tuple(homes), label

    for split, size in (("train", folder.world.num_train), ("dev", folder.world.num_dev)):
        sampler = folder.sampler("commonsense_qa", split)
        questions = distinct(partial(draw, sampler), size, key=lambda question: question, taken=taken)
        noise = folder.noise("commonsense_qa", split)
        rows = [
            {
                "answerKey": noise("ABCDE"[label], "ABCDE"),
                "id": f"{split}-{index}",
                "question": {
                    "question_concept": concept,
                    "choices": [{"label": key, "text": text} for key, text in zip("ABCDE", options, strict=True)],
                    "stem": stem,
                },
            }
            for index, (stem, concept, options, label) in enumerate(questions)
        ]
        folder.write_jsonl(f"commonsense_qa/{split}_rand_split.jsonl", rows)


def write_choice(folder: Folder) -> None:
    """All multiple-choice datasets."""
    _write_copa(folder)
    _write_siqa(folder)
    _write_cosmos_qa(folder)
    _write_hellaswag(folder)
    _write_commonsense_qa(folder)
