"""CommonsenseQA: a question without context, five answers.

Source: Talmor et al. 2019, the random split `{train,dev}_rand_split.jsonl`. The question stands as the context of
the example: it is the first text of every option's segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import DOWNLOAD_AGAIN, read_jsonl
from xstilts.kinds import CHOICE, ChoiceExample
from xstilts.tasks.registry import Hub, Layout, Source, Task, register

LETTERS = ("A", "B", "C", "D", "E")


def read(source: Source) -> Iterator[ChoiceExample]:
    for path in source.files:
        for line, row in read_jsonl(path, ("question",), texts=("id", "answerKey")):
            options = _options(path, line, row["question"])
            if row["answerKey"] not in LETTERS:
                raise UserError.at(path, line, f"unknown answer {row['answerKey']!r}", f"known: {', '.join(LETTERS)}")
            yield ChoiceExample(row["id"], row["question"]["stem"], "", options, LETTERS.index(row["answerKey"]))


def _options(path: Path, line: int, question: dict[str, Any]) -> tuple[str, ...]:
    """The texts of the choices, which stand in the order of their letters."""
    try:
        letters = tuple(choice["label"] for choice in question["choices"])
        options = tuple(choice["text"] for choice in question["choices"])
        stem = question["stem"]
    except (KeyError, TypeError):
        letters, options, stem = (), (), None
    if letters != LETTERS or not all(isinstance(text, str) for text in (stem, *options)):
        problem = f"'question' does not hold a stem and choices {', '.join(LETTERS)} in this order"
        raise UserError.at(path, line, problem, DOWNLOAD_AGAIN)
    return options


def _hub_example(row: Mapping[str, Any], index: int) -> ChoiceExample:
    label = LETTERS.index(row["answerKey"])
    return ChoiceExample(row["id"], row["question"], "", tuple(row["choices"]["text"]), label)


COMMONSENSE_QA = register(
    Task(
        name="commonsense_qa",
        kind=CHOICE,
        title="CommonsenseQA",
        origin="https://www.tau-nlp.org/commonsenseqa",
        layouts=(
            Layout(
                read,
                {
                    "train": ("commonsense_qa/train_rand_split.jsonl",),
                    "dev": ("commonsense_qa/dev_rand_split.jsonl",),
                },
            ),
        ),
        languages={"eng_Latn": "eng"},
        metrics=("accuracy",),
        hub=Hub(
            path="tau/commonsense_qa",
            revision="94630fe30dad47192a8546eb75f094926d47e155",
            config=None,
            splits={"train": "train", "dev": "validation"},
            example=_hub_example,
        ),
        groups=("intermediate",),
        num_examples={("train", "eng_Latn"): 9_741, ("dev", "eng_Latn"): 1_221},
    )
)
