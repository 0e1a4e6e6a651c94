"""Masakhane's tagging sets: MasakhaNER 1.0 and 2.0 (Adelani et al. 2021, 2022) and MasakhaPOS (Dione et al. 2023).

None has English. MasakhaNER is predicted with PAN-X's head, which knows no dates: DATE is read as O, as its authors
did when they transferred from corpora without it. MasakhaPOS is predicted with UDPOS's head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from xstilts.kinds import TAGGING, TaggingExample
from xstilts.tasks.datasets.panx import LABELS as PANX_LABELS
from xstilts.tasks.languages import codes_iso3
from xstilts.tasks.readers.columns import read_columns
from xstilts.tasks.readers.conllu import UPOS
from xstilts.tasks.registry import Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_ENTITIES: Mapping[str, str] = {tag: tag for tag in PANX_LABELS} | {"B-DATE": "O", "I-DATE": "O"}
_UPOS: Mapping[str, str] = {tag: tag for tag in UPOS}
_SPLITS = ("train", "dev", "test")
_NER = "https://github.com/masakhane-io/masakhane-ner"
_POS = "https://github.com/masakhane-io/masakhane-pos"


def read(tags: Mapping[str, str], source: Source) -> Iterator[TaggingExample]:
    """Sentences with their tags as `tags` maps those of the release."""
    for path in source.files:
        for index, (words, labels) in enumerate(read_columns(path, tags, source.skipped, separator=r"[ \t]+")):
            yield TaggingExample(f"{path.stem}-{index}", tuple(words), tuple(tags[label] for label in labels))


def _register(
    name: str,
    title: str,
    tags: Mapping[str, str],
    labels: tuple[str, ...],
    train_on: str,
    metrics: tuple[str, ...],
    origin: str = _NER,
) -> None:
    register(
        Task(
            name=name,
            kind=TAGGING,
            title=title,
            origin=origin,
            layouts=(Layout(partial(read, tags), {split: (f"{name}/{{code}}/{split}.txt",) for split in _SPLITS}),),
            languages=codes_iso3(languages_of(name), swh="swa"),
            metrics=metrics,
            labels=labels,
            train_on=train_on,
            groups=suites_of(name),
        )
    )


_register("masakhaner1", "MasakhaNER 1.0", _ENTITIES, PANX_LABELS, "panx", ("tag_f1",))
_register("masakhaner2", "MasakhaNER 2.0", _ENTITIES, PANX_LABELS, "panx", ("tag_f1",))
_register("masakhapos", "MasakhaPOS", _UPOS, UPOS, "udpos", ("token_accuracy", "xtreme_pos_f1"), _POS)
