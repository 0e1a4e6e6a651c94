"""Tatoeba: up to 1,000 sentences per language aligned with English (Artetxe and Schwenk 2019, version 1 as in XTREME).

Queries are the English sentences, candidates the foreign ones, as in XTREME's evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.kinds import NEAREST, RetrievalExample
from xstilts.tasks.languages import codes_iso3
from xstilts.tasks.readers.bitext import read_bitext
from xstilts.tasks.registry import Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_LANGUAGES = codes_iso3((*languages_of("tatoeba"), "amh_Ethi"), arb="ara", azj="aze", zho="cmn")
_FEWER = {"amh": 168, "jav": 205, "kaz": 575, "tel": 234, "swh": 390, "tam": 307, "tha": 548, "mal": 687, "kat": 746}


def read(source: Source) -> Iterator[RetrievalExample]:
    foreign, english = source.files
    yield from read_bitext(foreign, english)


register(
    Task(
        name="tatoeba",
        kind=NEAREST,
        title="Tatoeba",
        origin="https://github.com/facebookresearch/LASER/tree/main/data/tatoeba/v1",
        layouts=(Layout(read, {"test": ("tatoeba/tatoeba.{code}-eng.{code}", "tatoeba/tatoeba.{code}-eng.eng")}),),
        languages=_LANGUAGES,
        metrics=("top1",),
        groups=suites_of("tatoeba"),
        max_length=512,
        num_examples={("test", key): 2 * _FEWER.get(code, 1000) for key, code in _LANGUAGES.items()},
    )
)
