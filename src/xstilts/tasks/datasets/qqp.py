"""Quora Question Pairs in the GLUE form: are two questions the same?

Source: Wang et al. 2019 (GLUE). The release holds a few questions with a line break inside, which tear their row in
two; such rows are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xstilts.core.errors import UserError
from xstilts.core.reading import read_tsv_table
from xstilts.kinds import PAIR, PairExample
from xstilts.tasks.registry import Hub, Layout, Source, Task, register

LABELS = ("0", "1")
"""Different, duplicate."""


def read(source: Source) -> Iterator[PairExample]:
    for path in source.files:
        for line, row in read_tsv_table(path, ("id", "question1", "question2", "is_duplicate"), source.skipped):
            label = row["is_duplicate"]
            if label not in LABELS:
                raise UserError.at(path, line, f"unknown label {label!r}", f"known: {', '.join(LABELS)}")
            yield PairExample(row["id"], row["question1"], row["question2"], label)


def _hub_example(row: Mapping[str, object], index: int) -> PairExample:
    label = row["label"]
    assert isinstance(label, int)
    return PairExample(str(index), str(row["question1"]), str(row["question2"]), LABELS[label])


QQP = register(
    Task(
        name="qqp",
        kind=PAIR,
        title="QQP",
        origin="https://gluebenchmark.com/tasks",
        layouts=(Layout(read, {"train": ("qqp/train.tsv",), "dev": ("qqp/dev.tsv",)}),),
        languages={"eng_Latn": "eng"},
        metrics=("accuracy",),
        labels=LABELS,
        hub=Hub(
            path="nyu-mll/glue",
            revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
            config="qqp",
            splits={"train": "train", "dev": "validation"},
            example=_hub_example,
        ),
        groups=("intermediate",),
        num_examples={("train", "eng_Latn"): 363_846, ("dev", "eng_Latn"): 40_430},
    )
)
