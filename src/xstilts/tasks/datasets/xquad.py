"""XQuAD: 240 paragraphs and 1,190 questions of SQuAD v1.1's dev set, translated (Artetxe et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.kinds import SPAN, SpanExample
from xstilts.kinds.squad_json import read_squad_json
from xstilts.tasks.datasets.squad import hub_example
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_LANGUAGES = codes_iso1(languages_of("xquad"))


def read(source: Source) -> Iterator[SpanExample]:
    for path in source.files:
        yield from read_squad_json(path)


register(
    Task(
        name="xquad",
        kind=SPAN,
        title="XQuAD",
        origin="https://github.com/google-deepmind/xquad",
        layouts=(Layout(read, {"test": ("xquad/xquad.{code}.json",)}),),
        languages=_LANGUAGES,
        metrics=("squad_f1", "squad_em", "chrf"),
        hub=Hub(
            "google/xquad",
            "51adfef1c1287aab1d2d91b5bead9bcfb9c68583",
            "xquad.{code}",
            {"test": "validation"},
            hub_example,
        ),
        train_on="squad_v1",
        groups=suites_of("xquad"),
        max_length=384,
        num_examples={("test", language): 1190 for language in _LANGUAGES},
    )
)
