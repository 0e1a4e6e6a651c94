"""PAWS-X: paraphrase or not, for pairs that share most of their words (Yang et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xstilts.core.errors import UserError
from xstilts.core.reading import OFFICIAL_FILE, read_tsv_table
from xstilts.kinds import PAIR, PairExample
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

LABELS = ("0", "1")
_LANGUAGES = codes_iso1(languages_of("pawsx"))
_FILES = {"train": "train", "dev": "dev_2k", "test": "test_2k"}


def read(source: Source) -> Iterator[PairExample]:
    for path in source.files:
        for line, row in read_tsv_table(path, ("id", "sentence1", "sentence2", "label")):
            if row["label"] not in LABELS:
                raise UserError.at(path, line, f"label '{row['label']}' is neither 0 nor 1", OFFICIAL_FILE)
            yield PairExample(row["id"], row["sentence1"].strip(), row["sentence2"].strip(), row["label"])


def _hub_example(row: Mapping[str, object], index: int) -> PairExample:
    return PairExample(str(row["id"]), str(row["sentence1"]), str(row["sentence2"]), str(row["label"]))


register(
    Task(
        name="pawsx",
        kind=PAIR,
        title="PAWS-X",
        origin="https://github.com/google-research-datasets/paws/tree/master/pawsx",
        layouts=(
            Layout(read, {split: (f"pawsx/{{code}}/{file}.tsv",) for split, file in _FILES.items()}),
            *(Layout(read, {"train": (f"{folder}/{{code}}/translated_train.tsv",)}) for folder in ("pawsx", "x-final")),
            Layout(read, {split: (f"x-final/{{code}}/{file}.tsv",) for split, file in _FILES.items()}),
        ),
        languages=_LANGUAGES,
        metrics=("accuracy",),
        labels=LABELS,
        hub=Hub(
            "google-research-datasets/paws-x",
            "4cd8187c404bda33cb1f62b49b001115862acf37",
            "{code}",
            {"train": "train", "dev": "validation", "test": "test"},
            _hub_example,
        ),
        groups=suites_of("pawsx"),
        num_examples={
            ("train", "eng_Latn"): 49_401,
            **{(split, key): 2000 for key in _LANGUAGES for split in ("dev", "test")},
        },
    )
)
