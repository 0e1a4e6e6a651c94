"""LAReQA: retrieve the sentence that answers a question, in every language at once (Roy et al. 2020; XQuAD-R).

The pool holds every sentence, with its paragraph, of all languages present; right are the sentences with the answer
in each of them. Every language's source yields the same pool with the same ids, in one order and before its questions,
so that it is encoded once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError
from xstilts.core.reading import OFFICIAL_FILE
from xstilts.kinds import RANKING, RetrievalExample
from xstilts.kinds.squad_json import read_paragraphs
from xstilts.tasks.languages import codes_iso1
from xstilts.tasks.registry import Layout, Source, Task, register
from xstilts.tasks.suites import languages_of, suites_of


@dataclass(frozen=True)
class _Question:
    id: str
    text: str
    relevant: tuple[str, ...]
    """Candidates of the question's own language."""


def read(source: Source) -> Iterator[RetrievalExample]:
    """Candidates of all languages, then the questions of one.

    A question whose answer begins in no sentence is left out and counted; XTREME-R leaves it out too.
    """
    own, *pool = source.files
    relevant: defaultdict[str, list[str]] = defaultdict(list)
    asked: list[_Question] = []
    for path in pool:
        candidates, questions, num_lost = _read_language(path)
        yield from candidates
        for question in questions:
            relevant[question.id] += question.relevant
        if path == own:
            asked = questions
            if num_lost:
                source.skipped["question whose answer begins in no sentence"] += num_lost
    for question in asked:
        yield RetrievalExample(
            f"{question.id}_{own.stem}", "query", question.text, relevant=tuple(relevant[question.id])
        )


def _read_language(path: Path) -> tuple[list[RetrievalExample], list[_Question], int]:
    """Candidates, questions, and the number of questions without an answer sentence.

    A candidate's id is language, paragraph and sentence (`en_12_0`); several right ones of one language are the same
    sentence repeated in its paragraph.
    """
    candidates, questions, num_lost = [], [], 0
    for number, (place, paragraph) in enumerate(read_paragraphs(path), start=1):
        context = paragraph["context"]
        breaks = _breaks(path, place, paragraph)
        sentences = {f"{path.stem}_{number}_{i}": context[start:end] for i, (start, end) in enumerate(breaks)}
        candidates += [RetrievalExample(id_, "candidate", text, context) for id_, text in sentences.items()]
        for k, row in enumerate(paragraph["qas"]):
            try:
                id_, text, answer_start = row["id"], row["question"], row["answers"][0]["answer_start"]
            except (KeyError, IndexError, TypeError):
                raise UserError.at(
                    path, f"{place}.qas[{k}]", "no 'id', 'question' or 'answers' with an 'answer_start'", OFFICIAL_FILE
                ) from None
            answer = next((context[start:end] for start, end in breaks if start <= answer_start < end), None)
            if answer is None:
                num_lost += 1
                continue
            questions.append(_Question(id_, text, tuple(id_ for id_, text in sentences.items() if text == answer)))
    return candidates, questions, num_lost


def _breaks(path: Path, place: str, paragraph: dict[str, Any]) -> list[tuple[int, int]]:
    breaks = paragraph.get("sentence_breaks")
    if not isinstance(breaks, list):
        raise UserError.at(
            path, place, "no 'sentence_breaks'", "take XQuAD-R from the LAReQA repository, not XQuAD or its hub copy"
        )
    if not all(isinstance(b, list) and len(b) == 2 and 0 <= b[0] < b[1] <= len(paragraph["context"]) for b in breaks):
        raise UserError.at(path, place, "a sentence break lies outside the context", OFFICIAL_FILE)
    return [(start, end) for start, end in breaks]


def _layout(folder: str) -> Layout:
    return Layout(read, {"test": (f"{folder}/{{code}}.json", f"{folder}/*.json")})


register(
    Task(
        name="lareqa",
        kind=RANKING,
        title="LAReQA",
        origin="https://github.com/google-research-datasets/lareqa",
        layouts=(_layout("lareqa"), _layout("lareqa/xquad-r")),
        languages=codes_iso1(languages_of("lareqa")),
        metrics=("map_at_20",),
        groups=suites_of("lareqa"),
    )
)
