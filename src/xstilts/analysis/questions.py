"""The question of a recipe, answered from rows: a sentence for each primary contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xstilts.analysis.paired import Cells, changes, num_languages, over_items, precision_of, scores_of, spread_table
from xstilts.analysis.statistics.answer import Answer, Estimand, Finding, judge_primary
from xstilts.analysis.statistics.mean_question import mean_finding
from xstilts.analysis.statistics.sentence import render
from xstilts.analysis.statistics.spread_question import spread_finding
from xstilts.analysis.statistics.table import Table, complete_block
from xstilts.config.question import Contrast, Question
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row
from xstilts.tasks.languages import find_language


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

    Seeds beyond them that are there count as well. A contrast of which nothing can be said counts in Holm's procedure.
    """
    cells = question.cells(scored)
    findings: list[Finding] = []
    unanswered: list[str] = []
    for name, contrast in question.contrasts.items():
        label = f"{name} ({contrast.arm} - {contrast.against} on {', '.join(cells)})"
        try:
            findings.append(_finding(label, question, contrast, rows, cells, seeds))
        except UserError as error:
            # The name stands first in some errors, and is said here of all.
            unanswered.append(f"No answer yet to {label}: {str(error).removeprefix(f'{label}: ')}.")
    return Answers(tuple(judge_primary(findings, num_open=len(unanswered))), tuple(unanswered))


def _finding(
    label: str, question: Question, contrast: Contrast, rows: Sequence[Row], cells: Cells, planned: Sequence[int]
) -> Finding:
    """Raises UserError where the rows allow none."""
    arms = (contrast.arm, contrast.against)
    seeds = sorted({*planned, *(row.seed for row in rows if row.arm in arms)})
    precision = precision_of(rows, arms)
    arm, against = (scores_of(rows, name, cells, seeds, precision) for name in arms)
    if question.analysis == "spread":
        first, second = (complete_block(_some_left(spread_table(each, cells))) for each in (arm, against))
        found = spread_finding(label, first, second, matters=question.matters)
        return replace(found, num_languages=num_languages(first, second))
    block = complete_block(_some_left(changes(arm, against, cells)))
    return mean_finding(
        label,
        block,
        estimand=Estimand[question.estimand.upper()],
        families={key: find_language(key).family for key in block.languages},
        matters=question.matters,
        items=over_items(arm, against, cells, block),
    )


def _some_left(table: Table) -> Table:
    if not table.seeds:
        raise UserError(f"no seed is left. {' '.join(table.set_aside).removesuffix('.')}")
    return table
