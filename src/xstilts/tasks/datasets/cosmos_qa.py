"""Cosmos QA: commonsense questions about a blog post, four answers.

Source: Huang et al. 2019, `{train,valid}.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import read_csv
from xstilts.kinds import CHOICE, ChoiceExample
from xstilts.tasks.registry import Hub, Layout, Source, Task, register

ANSWERS = ("answer0", "answer1", "answer2", "answer3")
_LABELS = {str(number): number for number in range(len(ANSWERS))}


def read(source: Source) -> Iterator[ChoiceExample]:
    for path in source.files:
        for line, row in read_csv(path, ("id", "context", "question", *ANSWERS, "label")):
            if row["label"] not in _LABELS:
                raise UserError.at(path, line, f"unknown label {row['label']!r}", f"known: {', '.join(_LABELS)}")
            yield _example(row, _LABELS[row["label"]])


def _example(row: Mapping[str, Any], label: int) -> ChoiceExample:
    return ChoiceExample(row["id"], row["context"], row["question"], tuple(row[name] for name in ANSWERS), label)


def _hub_example(row: Mapping[str, Any], index: int) -> ChoiceExample:
    return _example(row, int(row["label"]))


COSMOS_QA = register(
    Task(
        name="cosmos_qa",
        kind=CHOICE,
        title="Cosmos QA",
        origin="https://github.com/wilburOne/cosmosqa",
        layouts=(Layout(read, {"train": ("cosmos_qa/train.csv",), "dev": ("cosmos_qa/valid.csv",)}),),
        languages={"eng_Latn": "eng"},
        metrics=("accuracy",),
        hub=Hub(
            path="allenai/cosmos_qa",
            revision="ed50fe83db62b355759053b1cd5eef344ee371e0",  # of refs/convert/parquet: main is a script
            config=None,
            splits={"train": "train", "dev": "validation"},
            example=_hub_example,
        ),
        groups=("intermediate",),
        num_examples={("train", "eng_Latn"): 25_262, ("dev", "eng_Latn"): 2_985},
    )
)
