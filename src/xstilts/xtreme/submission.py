"""XTREME's submission layout, written: `<task>/test-<language>.<suffix>` for predictions and for labels.

The layout is that of the folders which XTREME's evaluation script compares (Hu et al. 2020), with its two-letter
language codes; a language without one keeps its ISO 639-3 code. LAReQA, for which the script knows no files, has
Mewsli-X's form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from xstilts.evaluation.references import golds
from xstilts.kinds.example import Example, Kind, RetrievalExample, SpanExample
from xstilts.tasks.languages import find_language
from xstilts.tasks.registry import Task


class Form(Enum):
    """What one file holds; the value is the file's suffix and a word for errors."""

    LABELS = ("tsv", "labels")
    """One label per line."""
    TAGS = ("tsv", "sentences")
    """One tag per line, a blank line after every sentence."""
    CHOICES = ("jsonl", "choices")
    """One JSON object per line with the option's index as `label` (XCOPA's release form)."""
    ANSWERS = ("json", "answers")
    """Predictions: question id -> answer. Labels: SQuAD's JSON form."""
    INDICES = ("tsv", "indices")
    """One index of a candidate per line, the queries sorted by their text (Tatoeba)."""
    PAIRS = ("tsv", "pairs")
    """One pair of sentence ids per line (BUCC)."""
    RANKINGS = ("json", "rankings")
    """Query id -> candidate ids, best first; in labels the right ones."""

    @property
    def suffix(self) -> str:
        return self.value[0]

    @property
    def unit(self) -> str:
        return self.value[1]


_BY_KIND = {Kind.PAIR: Form.LABELS, Kind.TAGGING: Form.TAGS, Kind.CHOICE: Form.CHOICES, Kind.SPAN: Form.ANSWERS}
_RETRIEVAL_BY_METRIC = {"top1": Form.INDICES, "mining_f1": Form.PAIRS, "map_at_20": Form.RANKINGS}


def form_of(task: Task) -> Form:
    """The form of the task's files; for retrieval it follows from the primary metric."""
    assert task.kind is not Kind.MLM, "running text has no predictions"
    return _RETRIEVAL_BY_METRIC[task.metrics[0]] if task.kind is Kind.RETRIEVAL else _BY_KIND[task.kind]


def code_of(language: str) -> str:
    """Language key -> the code in file names: `swh_Latn` -> `sw`, `pcm_Latn` -> `pcm`."""
    known = find_language(language)
    return known.iso1 or known.iso3


def path_of(folder: Path, task: Task, language: str, split: str = "test") -> Path:
    """Where the layout keeps one file of predictions or labels."""
    return folder / task.name / f"{split}-{code_of(language)}.{form_of(task).suffix}"


def write_predictions(
    folder: Path,
    task: Task,
    language: str,
    examples: Sequence[Example],
    predictions: Sequence[Any],
    *,
    split: str = "test",
) -> Path:
    """Writes the predictions of one language and returns the file.

    Args:
        folder: the submission; made if absent.
        examples: as the reader yields them; for retrieval queries and candidates.
        predictions: one per example, for retrieval one per query: a label, an option's index, tags, an answer,
            ranked candidate ids, or mined candidate ids.
    """
    queries = [example for example in examples if not _is_candidate(example)]
    assert len(queries) == len(predictions), f"{len(predictions)} predictions for {len(queries)} examples"
    match form_of(task):
        case Form.LABELS:
            text = "".join(f"{label}\n" for label in predictions)
        case Form.TAGS:
            text = "".join("\n".join(tags) + "\n\n" for tags in predictions)
        case Form.CHOICES:
            text = "".join(_line({"id": q.id, "label": p}) for q, p in zip(queries, predictions, strict=True))
        case Form.ANSWERS:
            text = _document({query.id: answer for query, answer in zip(queries, predictions, strict=True)})
        case Form.RANKINGS:
            text = _document({query.id: list(ranked) for query, ranked in zip(queries, predictions, strict=True)})
        case Form.PAIRS:
            pairs = zip(queries, predictions, strict=True)
            text = "".join(f"{query.id}\t{target}\n" for query, mined in pairs for target in mined)
        case Form.INDICES:
            text = "".join(f"{index}\n" for index in _indices(examples, predictions))
    return _write(path_of(folder, task, language, split), text)


def write_labels(folder: Path, task: Task, language: str, examples: Sequence[Example], *, split: str = "test") -> Path:
    """Writes the golds of one language, such that scoring compares `write_predictions`' files with them."""
    if form_of(task) is Form.ANSWERS:
        spans = [example for example in examples if isinstance(example, SpanExample)]
        return _write(path_of(folder, task, language, split), _document(_squad_json(spans)))
    return write_predictions(folder, task, language, examples, golds(examples, language), split=split)


def _is_candidate(example: Example) -> bool:
    return isinstance(example, RetrievalExample) and example.role == "candidate"


def _indices(examples: Sequence[Example], ranked: Sequence[Sequence[str]]) -> Iterator[int]:
    """The place of every query's first candidate among the candidates, queries by their text as XTREME sorts them."""
    retrieval = [example for example in examples if isinstance(example, RetrievalExample)]
    place = {candidate.id: i for i, candidate in enumerate(e for e in retrieval if e.role == "candidate")}
    queries = [example for example in retrieval if example.role == "query"]
    for _, best in sorted(zip(queries, ranked, strict=True), key=lambda item: item[0].text.strip()):
        yield place[best[0]]


def _squad_json(examples: Sequence[SpanExample]) -> dict[str, Any]:
    return {
        "version": "1.1",
        "data": [
            {
                "title": "",
                "paragraphs": [
                    {
                        "context": example.context,
                        "qas": [
                            {
                                "id": example.id,
                                "question": example.question,
                                "answers": [{"text": a.text, "answer_start": a.start} for a in example.answers],
                                "is_impossible": not example.answers,
                            }
                        ],
                    }
                    for example in examples
                ],
            }
        ],
    }


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _document(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
