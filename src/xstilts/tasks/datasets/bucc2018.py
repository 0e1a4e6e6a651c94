"""BUCC 2018: find the pairs of translations hidden in two monolingual collections (Zweigenbaum et al. 2018).

As in XTREME, the sample data are `dev` (on which the threshold is tuned) and the training data are `test`. Queries are
the foreign sentences, most without a right candidate; candidates are the English ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.core.reading import DOWNLOAD_AGAIN, read_tsv
from xstilts.kinds import MINING, RetrievalExample
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.registry import Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of

_LANGUAGES = codes_iso1(languages_of("bucc2018"))
_PARTS = {"dev": "sample", "test": "training"}


def read(source: Source) -> Iterator[RetrievalExample]:
    foreign_path, english_path, gold_path = source.files
    foreign, english = _read_sentences(foreign_path), _read_sentences(english_path)
    relevant: defaultdict[str, list[str]] = defaultdict(list)
    for line, (query, candidate) in read_tsv(gold_path, 2):
        for id_, sentences, path in ((query, foreign, foreign_path), (candidate, english, english_path)):
            if id_ not in sentences:
                raise UserError.at(gold_path, line, f"no sentence '{id_}' in {path.name}", DOWNLOAD_AGAIN)
        relevant[query].append(candidate)
    for id_, text in english.items():
        yield RetrievalExample(id_, "candidate", text)
    for id_, text in foreign.items():
        yield RetrievalExample(id_, "query", text, relevant=tuple(relevant.get(id_, ())))


def _read_sentences(path: Path) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for line, (id_, text) in read_tsv(path, 2):
        if id_ in sentences:
            raise UserError.at(path, line, f"sentence id '{id_}' occurs twice", DOWNLOAD_AGAIN)
        sentences[id_] = text.strip()
    return sentences


def _paths(part: str) -> tuple[str, ...]:
    stem = f"bucc2018/{{code}}-en/{{code}}-en.{part}"
    return (f"{stem}.{{code}}", f"{stem}.en", f"{stem}.gold")


register(
    Task(
        name="bucc2018",
        kind=MINING,
        title="BUCC 2018",
        origin="https://comparable.limsi.fr/bucc2018",
        layouts=(Layout(read, {split: _paths(part) for split, part in _PARTS.items()}),),
        languages=_LANGUAGES,
        metrics=("mining_f1", "mining_precision", "mining_recall"),
        groups=suites_of("bucc2018"),
        max_length=512,
    )
)
