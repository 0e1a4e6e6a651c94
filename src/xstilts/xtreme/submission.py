"""XTREME's submission layout: `<task>/test-<language>.<suffix>` for predictions and for labels.

The layout is that of the folders which XTREME's evaluation script compares (Hu et al. 2020), with its two-letter
language codes; a language without one keeps its ISO 639-3 code. What a file holds is up to the task's kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xstilts.kinds import Example
from xstilts.tasks.languages import find_language
from xstilts.tasks.registry import Task


def code_of(language: str) -> str:
    """Language key -> the code in file names: `swh_Latn` -> `sw`, `pcm_Latn` -> `pcm`."""
    known = find_language(language)
    return known.iso1 or known.iso3


def path_of(folder: Path, task: Task, language: str, split: str = "test") -> Path:
    """Where the layout keeps one file of predictions or labels."""
    return folder / task.name / f"{split}-{code_of(language)}.{task.kind.suffix}"


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
        examples: as the reader yields them; for retrieval candidates and queries.
        predictions: one per item of the kind, in the form that its metrics take.
    """
    num_items = len(task.kind.items(examples))
    assert num_items == len(predictions), f"{len(predictions)} predictions for {num_items} items"
    return _write(path_of(folder, task, language, split), task.kind.write_predictions(examples, predictions))


def write_labels(folder: Path, task: Task, language: str, examples: Sequence[Example], *, split: str = "test") -> Path:
    """Writes the references of one language, such that scoring compares `write_predictions`' files with them."""
    references = task.kind.references(examples, language)
    return _write(path_of(folder, task, language, split), task.kind.write_labels(examples, references))


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path
