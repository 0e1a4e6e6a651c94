"""Two studies of one question: by how much a contrast differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from xstilts.analysis.asked import Asked, asked_of
from xstilts.analysis.contrasts import ContrastScores, mean_of, scores_of_contrast
from xstilts.analysis.questions import Answers
from xstilts.analysis.runs import RunResults
from xstilts.analysis.statistics.answer import Finding, judge_primary
from xstilts.analysis.statistics.estimate import TEstimate
from xstilts.analysis.statistics.table import Table, complete_block
from xstilts.config.question import Question
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row


def compare_studies(
    question: Question,
    studies: Mapping[str, Sequence[Row]],
    scored: Mapping[str, Sequence[str]],
    seeds: Sequence[int],
) -> Answers:
    """The changes of the first study less those of the second, paired by seed and language, for each contrast.

    `studies`: name -> rows, of two. The tools are those of a single study: what differs between two is a change of
    changes with errors of its own. As there, an unfinished study has no verdict.

    Raises:
        UserError: the question is of a spread or a slope.
    """
    if question.analysis in ("spread", "slope"):
        raise UserError(f"two studies are compared in means, and the question is of a {question.analysis}")
    (first, mine), (second, theirs) = studies.items()
    cells = question.cells(scored)
    findings: list[Finding] = []
    unanswered = []
    for name, contrast in question.contrasts.items():
        label = f"{name} ({contrast.arm} - {contrast.against}, {first} less {second}, on {', '.join(cells)})"
        try:
            scores = [scores_of_contrast(question, contrast, rows, cells, seeds) for rows in (mine, theirs)]
            found = _finding(label, question, *scores)
        except UserError as error:
            unanswered.append(f"No answer yet to {label}: {str(error).removeprefix(f'{label}: ')}.")
            continue
        num_done = min(each.num_done for each in scores)
        findings.append(found if num_done >= len(seeds) else replace(found, unfinished=(num_done, len(seeds))))
    return Answers(tuple(judge_primary(findings, num_open=len(unanswered))), tuple(unanswered))


def answers_of_difference(results: Sequence[RunResults], asked: Asked | None, other: RunResults) -> Answers:
    """How far the answers of runs differ from those of another run, in what both are to score.

    Raises:
        UserError: they do not ask the same question, or one that cannot be compared.
    """
    theirs = asked_of([other])
    if asked is None or theirs is None:
        raise UserError("--against: only studies that ask a question are compared; give their recipes one")
    if asked.question.contrasts != theirs.question.contrasts or asked.question.analysis != theirs.question.analysis:
        raise UserError(f"--against {other.name}: it asks another question; give a run with the same contrasts")
    scored = {
        target: [key for key in keys if key in theirs.scored.get(target, ())] for target, keys in asked.scored.items()
    }
    seeds = [seed for seed in asked.seeds if seed in theirs.seeds]
    name = " and ".join(each.name for each in results)
    rows = [row for each in results for row in each.rows]
    return compare_studies(asked.question, {name: rows, other.name: other.rows}, scored, seeds)


def _finding(label: str, question: Question, first: ContrastScores, second: ContrastScores) -> Finding:
    """Raises UserError where no seed and language is in both."""
    tables = [first.changes(), second.changes()]
    seeds = tuple(seed for seed in tables[0].seeds if seed in tables[1].seeds)
    if not seeds:
        raise UserError("the studies have no seed in common")
    languages = tables[0].languages
    values = [_cut(table, seeds, languages) for table in tables]
    said = tuple(dict.fromkeys(sentence for table in tables for sentence in table.set_aside))
    block = complete_block(Table(values[0] - values[1], seeds, languages, said))
    errors = [each.over_items(block).standard_error for each in (first, second)]
    items = TEstimate(np.asarray(block.values.mean()), np.asarray(np.hypot(*errors)), np.asarray(np.inf))
    return mean_of(label, question, block, items)


def _cut(table: Table, seeds: Sequence[int], languages: Sequence[str]) -> np.ndarray:
    rows, columns = [table.seeds.index(seed) for seed in seeds], [table.languages.index(key) for key in languages]
    return table.values[np.ix_(rows, columns)]
