"""MLQA: questions on parallel Wikipedia paragraphs (Lewis et al. 2020), question and context in one language."""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.kinds import SPAN, SpanExample
from xstilts.kinds.squad_json import read_squad_json
from xstilts.tasks.datasets.squad import hub_example
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_LANGUAGES = codes_iso1(languages_of("mlqa"))
_FILE = "{split}/{split}-context-{{code}}-question-{{code}}.json"


def read(source: Source) -> Iterator[SpanExample]:
    for path in source.files:
        yield from read_squad_json(path)


def _layout(folder: str) -> Layout:
    return Layout(read, {split: (folder + _FILE.format(split=split),) for split in ("dev", "test")})


register(
    Task(
        name="mlqa",
        kind=SPAN,
        title="MLQA",
        origin="https://github.com/facebookresearch/MLQA",
        layouts=(_layout("mlqa/"), _layout("mlqa/MLQA_V1/")),
        languages=_LANGUAGES,
        metrics=("mlqa_f1", "mlqa_em", "chrf"),
        hub=Hub(
            "google/xtreme",
            "ec5f1f46e9af79639a90684a7a70a956c4998f04",
            "MLQA.{code}.{code}",
            {"dev": "validation", "test": "test"},
            hub_example,
        ),
        train_on="squad_v1",
        groups=suites_of("mlqa"),
        max_length=384,
        num_examples={("dev", "eng_Latn"): 1148, ("test", "eng_Latn"): 11_590},
    )
)
