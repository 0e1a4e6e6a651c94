"""NTREX-128 as bitext retrieval: 1,997 news sentences, English and each language (Federmann et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.kinds import NEAREST, RetrievalExample
from xstilts.tasks.datasets.text import MLM_NTREX
from xstilts.tasks.readers.bitext import read_bitext
from xstilts.tasks.registry import Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_LANGUAGES = {
    key: MLM_NTREX.languages[key]
    for key in dict.fromkeys((*languages_of("ntrex"), *MLM_NTREX.languages))
    if key != "eng_Latn"
}


def read(source: Source) -> Iterator[RetrievalExample]:
    foreign, english = source.files
    yield from read_bitext(foreign, english)


register(
    Task(
        name="ntrex",
        kind=NEAREST,
        title="NTREX-128",
        origin="https://github.com/MicrosoftTranslator/NTREX",
        layouts=(Layout(read, {"test": ("ntrex/newstest2019-ref.{code}.txt", "ntrex/newstest2019-src.eng.txt")}),),
        languages=_LANGUAGES,
        metrics=("top1",),
        groups=suites_of("ntrex"),
        max_length=512,
        num_examples={("test", key): 2 * 1997 for key in _LANGUAGES},
    )
)
