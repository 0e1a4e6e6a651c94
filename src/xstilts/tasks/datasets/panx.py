"""PAN-X: named entities of Wikipedia articles, silver-standard (Pan et al. 2017; splits of Rahimi et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from xstilts.kinds import TAGGING, TaggingExample
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.readers.columns import read_columns
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
"""In the order of the hub's indices."""
_SPLITS = ("train", "dev", "test")
_LANGUAGES = codes_iso1(languages_of("panx"))


def read(source: Source) -> Iterator[TaggingExample]:
    for path in source.files:
        for index, (words, tags) in enumerate(
            read_columns(path, LABELS, source.skipped, separator="\t", prefixed=True)
        ):
            yield TaggingExample(f"{path.name}-{index}", tuple(words), tuple(tags))


def _hub_example(row: Mapping[str, object], index: int) -> TaggingExample:
    words, tags = row["tokens"], row["ner_tags"]
    assert isinstance(words, list) and isinstance(tags, list)
    return TaggingExample(str(index), tuple(words), tuple(LABELS[tag] for tag in tags))


register(
    Task(
        name="panx",
        kind=TAGGING,
        title="PAN-X",
        origin="https://github.com/google-research/xtreme",
        layouts=(Layout(read, {split: (f"panx/{{code}}/{split}",) for split in _SPLITS}),),
        languages=_LANGUAGES,
        metrics=("tag_f1",),
        labels=LABELS,
        hub=Hub(
            "google/xtreme",
            "ec5f1f46e9af79639a90684a7a70a956c4998f04",
            "PAN-X.{code}",
            {"train": "train", "dev": "validation", "test": "test"},
            _hub_example,
        ),
        groups=suites_of("panx"),
        num_examples={
            ("train", "eng_Latn"): 20_000,
            ("dev", "eng_Latn"): 10_000,
            ("test", "eng_Latn"): 10_000,
            ("test", "afr_Latn"): 1000,
            ("test", "swh_Latn"): 1000,
            ("test", "yor_Latn"): 100,
        },
    )
)
