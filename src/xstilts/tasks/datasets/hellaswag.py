"""HellaSwag: which of four endings continues the scene?

Source: Zellers et al. 2019, `hellaswag_{train,val}.jsonl`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import DOWNLOAD_AGAIN, read_jsonl
from xstilts.kinds import CHOICE, ChoiceExample
from xstilts.tasks.registry import Hub, Layout, Source, Task, register

NUM_ENDINGS = 4


def read(source: Source) -> Iterator[ChoiceExample]:
    for path in source.files:
        for line, row in read_jsonl(path, ("ind", "endings", "label"), texts=("ctx",)):
            endings, label = row["endings"], row["label"]
            if not isinstance(endings, list) or [type(ending) for ending in endings] != [str] * NUM_ENDINGS:
                raise UserError.at(path, line, f"'endings' are not {NUM_ENDINGS} texts", DOWNLOAD_AGAIN)
            if label not in range(NUM_ENDINGS):
                raise UserError.at(path, line, f"unknown label {label!r}", f"known: 0 to {NUM_ENDINGS - 1}")
            yield ChoiceExample(str(row["ind"]), row["ctx"], "", tuple(endings), label)


def _hub_example(row: Mapping[str, Any], index: int) -> ChoiceExample:
    return ChoiceExample(str(row["ind"]), row["ctx"], "", tuple(row["endings"]), int(row["label"]))


HELLASWAG = register(
    Task(
        name="hellaswag",
        kind=CHOICE,
        title="HellaSwag",
        origin="https://github.com/rowanz/hellaswag",
        layouts=(
            Layout(read, {"train": ("hellaswag/hellaswag_train.jsonl",), "dev": ("hellaswag/hellaswag_val.jsonl",)}),
        ),
        languages={"eng_Latn": "eng"},
        metrics=("accuracy",),
        hub=Hub(
            path="Rowan/hellaswag",
            revision="218ec52e09a7e7462a5400043bb9a69a41d06b76",
            config=None,
            splits={"train": "train", "dev": "validation"},
            example=_hub_example,
        ),
        groups=("intermediate",),
        num_examples={("train", "eng_Latn"): 39_905, ("dev", "eng_Latn"): 10_042},
    )
)
