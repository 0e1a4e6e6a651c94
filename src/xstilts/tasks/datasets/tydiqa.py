"""TyDiQA-GoldP: questions asked in the language itself, each with the paragraph that answers it (Clark et al. 2020).

Trained on English; the released dev files are XTREME's test sets. `dev` is the English one and serves selection alone,
so the English test score is not held out, as in XTREME.
"""

from __future__ import annotations

from collections.abc import Iterator

from xstilts.core.errors import UserError
from xstilts.core.reading import OFFICIAL_FILE
from xstilts.kinds import SPAN, SpanExample
from xstilts.kinds.squad_json import read_squad_json
from xstilts.tasks.datasets.squad import hub_example
from xstilts.tasks.languages import find_language
from xstilts.tasks.registry import Hub, Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_LANGUAGES = {key: find_language(key).name.lower() for key in languages_of("tydiqa")}
_NUM_TEST = {
    "english": 440,
    "arabic": 921,
    "bengali": 113,
    "finnish": 782,
    "indonesian": 565,
    "korean": 276,
    "russian": 812,
    "swahili": 499,
    "telugu": 669,
}


def read(source: Source) -> Iterator[SpanExample]:
    for path in source.files:
        yield from read_squad_json(path)


def read_joint(source: Source) -> Iterator[SpanExample]:
    """The release's one training file of all languages: ids begin with the language's name."""
    prefix = f"{task.code_of(source.language)}-"
    for path in source.files:
        found = False
        for example in read_squad_json(path):
            if example.id.startswith(prefix):
                found = True
                yield example
        if not found:
            raise UserError.at(path, None, f"no question id begins with '{prefix}'", OFFICIAL_FILE)


_DEV = "tydiqa_goldp/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{code}.json"

task = register(
    Task(
        name="tydiqa",
        kind=SPAN,
        title="TyDiQA-GoldP",
        origin="https://github.com/google-research-datasets/tydiqa",
        layouts=(
            Layout(
                read,
                {
                    "train": ("tydiqa_goldp/{code}_tydiqa_train.json",),
                    "dev": ("tydiqa_goldp/{code}_tydiqa_dev.json",),
                    "test": ("tydiqa_goldp/{code}_tydiqa_dev.json",),
                },
            ),
            Layout(read_joint, {"train": ("tydiqa_goldp/tydiqa-goldp-v1.1-train.json",)}, joint=True),
            Layout(read, {"dev": (_DEV,), "test": (_DEV,)}),
        ),
        languages=_LANGUAGES,
        metrics=("squad_f1", "squad_em", "chrf"),
        hub=Hub(
            "google-research-datasets/tydiqa",
            "da78f23f9119363459acbaf46bf89426ff26c259",
            "secondary_task",
            {"train": "train", "dev": "validation", "test": "validation"},
            hub_example,
            holds=lambda row, code: str(row["id"]).startswith(f"{code}-"),
        ),
        groups=suites_of("tydiqa"),
        max_length=384,
        num_examples={
            ("train", "eng_Latn"): 3696,
            ("dev", "eng_Latn"): 440,
            **{("test", key): _NUM_TEST[code] for key, code in _LANGUAGES.items()},
        },
    )
)
