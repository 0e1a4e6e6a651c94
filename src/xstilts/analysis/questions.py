"""The question of a recipe, answered from rows: a sentence for each primary contrast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from xstilts.analysis.contrasts import contrast_finding
from xstilts.analysis.paired import Cells
from xstilts.analysis.slopes import slope_finding
from xstilts.analysis.statistics.answer import Answer, Finding, judge_primary
from xstilts.analysis.statistics.sentence import render
from xstilts.config.question import Question
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row


@dataclass(frozen=True)
class Answers:
    """What can be said of a question's contrasts."""

    answers: tuple[Answer, ...]
    unanswered: tuple[str, ...]
    """A sentence for each contrast of which nothing can be said yet, and why."""

    def sentences(self) -> tuple[str, ...]:
        """The answers in plain English, in the order of the contrasts."""
        return tuple(map(render, self.answers))


def answer(
    question: Question, rows: Sequence[Row], scored: Mapping[str, Sequence[str]], seeds: Sequence[int]
) -> Answers:
    """The answers of all contrasts, from a study that is to score these targets in these languages with these seeds.

    Seeds beyond them that are there count as well. A contrast of which nothing can be said counts in
    Holm's procedure. Until every planned seed is there, an answer has its interval and no verdict: asked again after
    each seed, it would call many a null (benchmarks/calibration.md).
    """
    cells = question.cells(scored)
    findings: list[Finding] = []
    unanswered: list[str] = []
    for label, find in _asked(question, rows, cells, seeds):
        try:
            found, num_done = find()
        except UserError as error:
            # The name stands first in some errors, and is said here of all.
            unanswered.append(f"No answer yet to {label}: {str(error).removeprefix(f'{label}: ')}.")
            continue
        findings.append(found if num_done >= len(seeds) else replace(found, unfinished=(num_done, len(seeds))))
    return Answers(tuple(judge_primary(findings, num_open=len(unanswered))), tuple(unanswered))


def _asked(
    question: Question, rows: Sequence[Row], cells: Cells, planned: Sequence[int]
) -> Iterator[tuple[str, Callable[[], tuple[Finding, int]]]]:
    """(label, what finds the answer and how many planned seeds have all of its scores) of each contrast or slope."""
    on = ", ".join(cells)
    less = " less that in English" if question.analysis == "beyond_english" else ""
    for name, contrast in question.contrasts.items():
        label = f"{name} ({contrast.arm} - {contrast.against}{less} on {on})"
        yield label, partial(contrast_finding, label, question, contrast, rows, cells, planned)
    for name, slope in question.slopes.items():
        label = f"{name} (change against {slope.against} by {slope.of}, {len(slope.arms)} tasks, on {on})"
        yield label, partial(slope_finding, label, slope, rows, cells, planned, question.matters)
