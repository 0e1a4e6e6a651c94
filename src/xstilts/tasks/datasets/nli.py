"""Natural language inference in English: MNLI, SNLI and ANLI+ (ANLI rounds 1-3, MNLI and SNLI together).

Sources: Williams et al. 2018 (MultiNLI; its own JSON lines or the GLUE form), Bowman et al. 2015 (SNLI), Nie et al.
2020 (ANLI). Pairs whose annotators reached no majority carry the gold label `-` and are left out, as in GLUE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from xstilts.core.errors import UserError, did_you_mean
from xstilts.core.reading import read_jsonl, read_tsv_table
from xstilts.kinds import PAIR, PairExample
from xstilts.tasks.languages import translated_into
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of

LABELS = ("entailment", "neutral", "contradiction")
NO_GOLD = "-"

_ANLI_LABELS = {"e": "entailment", "n": "neutral", "c": "contradiction"}
_ROUNDS = (1, 2, 3)


def read(source: Source) -> Iterator[PairExample]:
    """Every file of the source, each in its own release's form."""
    for path in source.files:
        if path.suffix == ".tsv":
            yield from _read_glue(path, source)
        elif path.name.startswith(("multinli", "snli")):
            yield from _read_gold_label(path, source)
        else:
            yield from _read_anli(path)


def _read_glue(path: Path, source: Source) -> Iterator[PairExample]:
    for line, row in read_tsv_table(path, ("sentence1", "sentence2", "gold_label")):
        if label := _gold(path, line, row["gold_label"], source):
            yield PairExample(f"{path.stem}-{line}", row["sentence1"], row["sentence2"], label)


def _read_gold_label(path: Path, source: Source) -> Iterator[PairExample]:
    for line, row in read_jsonl(path, texts=("pairID", "sentence1", "sentence2", "gold_label")):
        if label := _gold(path, line, row["gold_label"], source):
            yield PairExample(row["pairID"], row["sentence1"], row["sentence2"], label)


def _gold(path: Path, line: int, label: str, source: Source) -> str | None:
    if label == NO_GOLD:
        source.skipped[f"no gold label '{NO_GOLD}'"] += 1
        return None
    if label not in LABELS:
        raise UserError.at(path, line, f"unknown label {label!r}", did_you_mean(label, (*LABELS, NO_GOLD)))
    return label


def _read_anli(path: Path) -> Iterator[PairExample]:
    for line, row in read_jsonl(path, texts=("uid", "context", "hypothesis", "label")):
        if row["label"] not in _ANLI_LABELS:
            raise UserError.at(path, line, f"unknown label {row['label']!r}", f"known: {', '.join(_ANLI_LABELS)}")
        yield PairExample(row["uid"], row["context"], row["hypothesis"], _ANLI_LABELS[row["label"]])


def _read_translated(source: Source) -> Iterator[PairExample]:
    """XNLI-MT-1.0: MNLI's training pairs by machine translation, in XNLI's languages."""
    for path in source.files:
        for line, row in read_tsv_table(path, ("premise", "hypo", "label")):
            label = _gold(path, line, row["label"].replace("contradictory", "contradiction"), source)
            if label:
                yield PairExample(f"{path.stem}-{line}", row["premise"], row["hypo"], label)


def _hub_example(row: Mapping[str, object], index: int) -> PairExample | None:
    label = row["label"]
    assert isinstance(label, int)
    if label < 0:
        return None
    return PairExample(str(index), str(row["premise"]), str(row["hypothesis"]), LABELS[label])


def _anli(split: str) -> tuple[str, ...]:
    return tuple(f"anli/R{number}/{split}.jsonl" for number in _ROUNDS)


_MNLI_HUB = Hub(
    path="nyu-mll/glue",
    revision="bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
    config="mnli",
    splits={"train": "train", "dev": "validation_matched", "dev_mismatched": "validation_mismatched"},
    example=_hub_example,
)

MNLI = register(
    Task(
        name="mnli",
        kind=PAIR,
        title="MNLI",
        origin="https://gluebenchmark.com/tasks, https://cims.nyu.edu/~sbowman/multinli",
        layouts=(
            Layout(
                read,
                {
                    "train": ("mnli/train.tsv",),
                    "dev": ("mnli/dev_matched.tsv",),
                    "dev_mismatched": ("mnli/dev_mismatched.tsv",),
                },
            ),
            Layout(
                read,
                {
                    "train": ("mnli/multinli_1.0_train.jsonl",),
                    "dev": ("mnli/multinli_1.0_dev_matched.jsonl",),
                    "dev_mismatched": ("mnli/multinli_1.0_dev_mismatched.jsonl",),
                },
            ),
        ),
        languages={"eng_Latn": "eng"},
        metrics=("accuracy",),
        labels=LABELS,
        translated=translated_into(languages_of("xnli")),
        translations=(Layout(_read_translated, {"train": ("XNLI-MT-1.0/multinli/multinli.train.{code}.tsv",)}),),
        hub=_MNLI_HUB,
        groups=("intermediate",),
        num_examples={
            ("train", "eng_Latn"): 392_702,
            ("dev", "eng_Latn"): 9_815,
            ("dev_mismatched", "eng_Latn"): 9_832,
        },
    )
)

_SNLI_HUB = Hub(
    path="stanfordnlp/snli",
    revision="cdb5c3d5eed6ead6e5a341c8e56e669bb666725b",
    config="plain_text",
    splits={"train": "train", "dev": "validation", "test": "test"},
    example=_hub_example,
)

SNLI = register(
    Task(
        name="snli",
        kind=PAIR,
        title="SNLI",
        origin="https://nlp.stanford.edu/projects/snli",
        layouts=(Layout(read, {split: (f"snli/snli_1.0_{split}.jsonl",) for split in ("train", "dev", "test")}),),
        languages={"eng_Latn": "eng"},
        metrics=("accuracy",),
        labels=LABELS,
        hub=_SNLI_HUB,
        num_examples={("train", "eng_Latn"): 549_367, ("dev", "eng_Latn"): 9_842, ("test", "eng_Latn"): 9_824},
    )
)

ANLI_PLUS = register(
    Task(
        name="anli_plus",
        kind=PAIR,
        title="ANLI+",
        origin="https://github.com/facebookresearch/anli, that of MNLI, https://nlp.stanford.edu/projects/snli",
        layouts=(
            Layout(
                read,
                {
                    "train": (*_anli("train"), "mnli/train.tsv", "snli/snli_1.0_train.jsonl"),
                    "dev": (*_anli("dev"), "mnli/dev_matched.tsv", "snli/snli_1.0_dev.jsonl"),
                },
            ),
            Layout(
                read,
                {
                    "train": (*_anli("train"), "mnli/multinli_1.0_train.jsonl", "snli/snli_1.0_train.jsonl"),
                    "dev": (*_anli("dev"), "mnli/multinli_1.0_dev_matched.jsonl", "snli/snli_1.0_dev.jsonl"),
                },
            ),
        ),
        languages={"eng_Latn": "eng"},
        metrics=("accuracy",),
        labels=LABELS,
        hub=Hub(
            path="facebook/anli",
            revision="8e4813d81f46d313dac7892e1c28076917cfcdf9",
            config="plain_text",
            splits={split: "+".join(f"{split}_r{number}" for number in _ROUNDS) for split in ("train", "dev")},
            example=_hub_example,
            also=(
                _MNLI_HUB,
                _SNLI_HUB,
            ),
        ),
        groups=("intermediate",),
        num_examples={("train", "eng_Latn"): 1_104_934, ("dev", "eng_Latn"): 22_857},
    )
)
