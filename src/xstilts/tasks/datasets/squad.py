"""SQuAD: a question about a Wikipedia paragraph, answered by a span of it or, in v2.0, not answered.

Sources: Rajpurkar et al. 2016 (v1.1), Rajpurkar et al. 2018 (v2.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xstilts.kinds import SPAN, SPAN_OR_NONE, Answer, SpanExample
from xstilts.kinds.squad_json import read_squad_json
from xstilts.tasks.languages import translated_into
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of


def read_v1(source: Source) -> Iterator[SpanExample]:
    """v1.1, in which every question has an answer; of a v2.0 file those that have one, which is what v1.1 was."""
    for path in source.files:
        for example in read_squad_json(path, unanswerable=True):
            if example.answers:
                yield example
            else:
                source.skipped["impossible question of SQuAD v2.0"] += 1


def read_v2(source: Source) -> Iterator[SpanExample]:
    for path in source.files:
        yield from read_squad_json(path, unanswerable=True)


def read_translated(source: Source) -> Iterator[SpanExample]:
    """XTREME's translation of the training set, without questions whose answer was not found again in its context."""
    for path in source.files:
        for example in read_squad_json(path, check_offsets=False):
            if all(example.context.startswith(answer.text, answer.start) for answer in example.answers):
                yield example
            else:
                source.skipped["translated answer that is not in its context"] += 1


def hub_example(row: Mapping[str, Any], index: int) -> SpanExample | None:
    """A row as the hub has it for SQuAD v1.1 and every dataset in its form; None where it has no answer."""
    example = _hub_example_v2(row, index)
    return example if example.answers else None


def _hub_example_v2(row: Mapping[str, Any], index: int) -> SpanExample:
    golds = row["answers"]
    answers = tuple(Answer(text, start) for text, start in zip(golds["text"], golds["answer_start"], strict=True))
    return SpanExample(row["id"], row["question"], row["context"], answers)


SQUAD_V2 = register(
    Task(
        name="squad_v2",
        kind=SPAN_OR_NONE,
        title="SQuAD v2.0",
        origin="https://rajpurkar.github.io/SQuAD-explorer",
        layouts=(Layout(read_v2, {"train": ("squad_v2/train-v2.0.json",), "dev": ("squad_v2/dev-v2.0.json",)}),),
        languages={"eng_Latn": "eng"},
        metrics=("squad2_f1", "squad2_em"),
        hub=Hub(
            path="rajpurkar/squad_v2",
            revision="3ffb306f725f7d2ce8394bc1873b24868140c412",
            config="squad_v2",
            splits={"train": "train", "dev": "validation"},
            example=_hub_example_v2,
        ),
        groups=("intermediate",),
        max_length=384,
        num_examples={("train", "eng_Latn"): 130_319, ("dev", "eng_Latn"): 11_873},
    )
)

SQUAD_V1 = register(
    Task(
        name="squad_v1",
        kind=SPAN,
        title="SQuAD v1.1",
        origin="https://rajpurkar.github.io/SQuAD-explorer",
        layouts=(Layout(read_v1, {"train": ("squad_v1/train-v1.1.json",), "dev": ("squad_v1/dev-v1.1.json",)}),),
        languages={"eng_Latn": "eng"},
        metrics=("squad_f1", "squad_em", "chrf"),
        translated=translated_into(languages_of("xquad") + languages_of("mlqa") + languages_of("tydiqa")),
        translations=(
            Layout(read_translated, {"train": ("SQuAD/translate-train/squad.translate.train.en-{code}.json",)}),
        ),
        hub=Hub(
            path="rajpurkar/squad",
            revision="7b6d24c440a36b6815f21b70d25016731768db1f",
            config="plain_text",
            splits={"train": "train", "dev": "validation"},
            example=hub_example,
        ),
        groups=("intermediate",),
        max_length=384,
        num_examples={("train", "eng_Latn"): 87_599, ("dev", "eng_Latn"): 10_570},
    )
)
