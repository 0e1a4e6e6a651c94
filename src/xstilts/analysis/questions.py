"""The question of a recipe, answered from rows: a sentence for each primary contrast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from xstilts.analysis.paired import (
    Cells,
    beyond_english,
    changes,
    num_languages,
    over_items,
    precision_of,
    scores_of,
    seeds_scored,
    spread_table,
    with_english,
)
from xstilts.analysis.slopes import slope_finding
from xstilts.analysis.statistics.answer import Answer, Estimand, Finding, judge_primary
from xstilts.analysis.statistics.families import without_each_family
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
        yield label, partial(_finding, label, question, contrast, rows, cells, planned)
    for name, slope in question.slopes.items():
        label = f"{name} (change against {slope.against} by {slope.of}, {len(slope.arms)} tasks, on {on})"
        yield label, partial(slope_finding, label, slope, rows, cells, planned, question.matters)


def _finding(
    label: str, question: Question, contrast: Contrast, rows: Sequence[Row], cells: Cells, planned: Sequence[int]
) -> tuple[Finding, int]:
    """Raises UserError where the rows allow none."""
    arms = (contrast.arm, contrast.against)
    seeds = sorted({*planned, *(row.seed for row in rows if row.arm in arms)})
    precision = precision_of(rows, arms)
    relative = question.analysis == "beyond_english"
    read = with_english(cells) if relative else cells
    arm, against = (scores_of(rows, name, read, seeds, precision) for name in arms)
    num_done = seeds_scored((arm, against), planned)
    if relative:
        arm, against = beyond_english(arm), beyond_english(against)
    if question.analysis == "spread":
        first, second = (complete_block(_some_left(spread_table(each, cells))) for each in (arm, against))
        found = spread_finding(label, first, second, matters=question.matters)
        return replace(found, num_languages=num_languages(first, second)), num_done
    block = complete_block(_some_left(changes(arm, against, cells)))
    families = {key: find_language(key).family for key in block.languages}
    found = mean_finding(
        label,
        block,
        estimand=Estimand[question.estimand.upper()],
        families=families,
        matters=question.matters,
        items=over_items(arm, against, cells, block),
    )
    return replace(found, beside=(*found.beside, *_without_families(block, families))), num_done


def _without_families(block: Table, families: Mapping[str, str]) -> tuple[str, ...]:
    """The effect without each family, from least to most: whether one of them carries it."""
    means = {name: float(table.values.mean()) for name, table in without_each_family(block, families).items()}
    if len(means) < 2:
        return ()
    least, most = min(means, key=lambda name: means[name]), max(means, key=lambda name: means[name])
    return (f"Without one family it is {means[least]:+.2f} ({least}) to {means[most]:+.2f} ({most}).",)


def _some_left(table: Table) -> Table:
    if not table.seeds:
        raise UserError(f"no seed is left. {' '.join(table.set_aside).removesuffix('.')}")
    return table
