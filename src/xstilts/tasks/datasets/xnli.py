"""Inference trained on MNLI: XNLI (Conneau et al. 2018) and AfriXNLI, a translation of it (Adelani et al. 2025)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xstilts.core.errors import UserError, did_you_mean
from xstilts.core.reading import OFFICIAL_FILE, read_tsv_table
from xstilts.kinds import PAIR, PairExample
from xstilts.tasks.datasets.nli import LABELS
from xstilts.tasks.languages import codes_iso1, codes_iso3
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_XNLI_LANGUAGES = codes_iso1(languages_of("xnli"))
_AFRIXNLI_LANGUAGES = codes_iso3((*languages_of("afrixnli"), "eng_Latn", "fra_Latn"), gaz="orm", swh="swa")
_BY_INDEX = {str(index): label for index, label in enumerate(LABELS)}


def read_xnli(source: Source) -> Iterator[PairExample]:
    """The rows of one language in a file that holds all fifteen."""
    code = XNLI.code_of(source.language)
    for path in source.files:
        found = False
        columns = ("language", "gold_label", "sentence1", "sentence2", "pairID")
        for line, row in read_tsv_table(path, columns):
            if row["language"] != code:
                continue
            found = True
            label = row["gold_label"]
            if label not in LABELS:
                raise UserError.at(path, line, f"unknown label '{label}'", did_you_mean(label, LABELS))
            yield PairExample(row["pairID"], row["sentence1"], row["sentence2"], label)
        if not found:
            raise UserError.at(path, None, f"no row has the language '{code}'", OFFICIAL_FILE)


def read_afrixnli(source: Source) -> Iterator[PairExample]:
    """Labels are written as words or as their index in the order entailment, neutral, contradiction."""
    for path in source.files:
        for line, row in read_tsv_table(path, ("premise", "hypothesis", "label")):
            label = _BY_INDEX.get(row["label"], row["label"])
            if label not in LABELS:
                raise UserError.at(path, line, f"unknown label '{label}'", did_you_mean(label, (*LABELS, *_BY_INDEX)))
            yield PairExample(f"{path.stem}-{line}", row["premise"], row["hypothesis"], label)


def _hub_example(row: Mapping[str, object], index: int) -> PairExample:
    label = str(row["label"])
    return PairExample(str(index), str(row["premise"]), str(row["hypothesis"]), _BY_INDEX.get(label, label))


XNLI = register(
    Task(
        name="xnli",
        kind=PAIR,
        title="XNLI",
        origin="https://github.com/facebookresearch/XNLI",
        layouts=(
            Layout(read_xnli, {split: (f"xnli/xnli.{split}.tsv",) for split in ("dev", "test")}),
            Layout(read_xnli, {split: (f"xnli/XNLI-1.0/xnli.{split}.tsv",) for split in ("dev", "test")}),
        ),
        languages=_XNLI_LANGUAGES,
        metrics=("accuracy",),
        labels=LABELS,
        hub=Hub(
            "facebook/xnli",
            "b8dd5d7af51114dbda02c0e3f6133f332186418e",
            "{code}",
            {"dev": "validation", "test": "test"},
            _hub_example,
        ),
        train_on="mnli",
        groups=suites_of("xnli"),
        num_examples={(split, key): n for key in _XNLI_LANGUAGES for split, n in (("dev", 2490), ("test", 5010))},
    )
)
AFRIXNLI = register(
    Task(
        name="afrixnli",
        kind=PAIR,
        title="AfriXNLI",
        origin="https://huggingface.co/datasets/masakhane/afrixnli",
        layouts=(Layout(read_afrixnli, {split: (f"afrixnli/{{code}}/{split}.tsv",) for split in ("dev", "test")}),),
        languages=_AFRIXNLI_LANGUAGES,
        metrics=("accuracy",),
        labels=LABELS,
        hub=Hub(
            "masakhane/afrixnli",
            "e3ca06b30f3e7af2a86f6c8609ea76fee326bc56",
            "{code}",
            {"dev": "validation", "test": "test"},
            _hub_example,
        ),
        train_on="mnli",
        groups=suites_of("afrixnli"),
        num_examples={(split, key): n for key in _AFRIXNLI_LANGUAGES for split, n in (("dev", 450), ("test", 600))},
    )
)
