"""One contrast of a question, from rows: its scores and changes, and what is found of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xstilts.analysis.paired import (
    ArmScores,
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
from xstilts.analysis.statistics.answer import Estimand, Finding
from xstilts.analysis.statistics.estimate import TEstimate
from xstilts.analysis.statistics.families import without_each_family
from xstilts.analysis.statistics.mean_question import mean_finding
from xstilts.analysis.statistics.spread_question import spread_finding
from xstilts.analysis.statistics.table import Table, complete_block
from xstilts.config.question import Contrast, Question
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row
from xstilts.tasks.languages import find_language


@dataclass(frozen=True)
class ContrastScores:
    """The scores of both arms; less those in English where the question is of what is beyond it."""

    arm: ArmScores
    against: ArmScores
    cells: Cells
    num_done: int
    """Planned seeds of which every score is there."""

    def changes(self) -> Table:
        """The changes that can be answered from, without collapsed runs.

        Raises:
            UserError: no seed is left.
        """
        return some_left(changes(self.arm, self.against, self.cells))

    def over_items(self, block: Table) -> TEstimate:
        """Of a complete block of the changes."""
        return over_items(self.arm, self.against, self.cells, block)


def scores_of_contrast(
    question: Question, contrast: Contrast, rows: Sequence[Row], cells: Cells, planned: Sequence[int]
) -> ContrastScores:
    """The scores of these seeds and any others that are there.

    Raises:
        UserError: a target is scored on two of its splits.
    """
    arms = (contrast.arm, contrast.against)
    seeds = sorted({*planned, *(row.seed for row in rows if row.arm in arms)})
    precision = precision_of(rows, arms)
    relative = question.analysis == "beyond_english"
    read = with_english(cells) if relative else cells
    arm, against = (scores_of(rows, name, read, seeds, precision) for name in arms)
    num_done = seeds_scored((arm, against), planned)
    if relative:
        arm, against = beyond_english(arm), beyond_english(against)
    return ContrastScores(arm, against, cells, num_done)


def contrast_finding(
    label: str, question: Question, contrast: Contrast, rows: Sequence[Row], cells: Cells, planned: Sequence[int]
) -> tuple[Finding, int]:
    """What is found, and how many of the planned seeds have all of its scores.

    Raises:
        UserError: the rows allow none.
    """
    scores = scores_of_contrast(question, contrast, rows, cells, planned)
    if question.analysis == "spread":
        tables = (some_left(spread_table(each, cells)) for each in (scores.arm, scores.against))
        first, second = map(complete_block, tables)
        found = spread_finding(label, first, second, matters=question.matters)
        return replace(found, num_languages=num_languages(first, second)), scores.num_done
    block = complete_block(scores.changes())
    return mean_of(label, question, block, scores.over_items(block)), scores.num_done


def mean_of(label: str, question: Question, block: Table, items: TEstimate) -> Finding:
    """The mean of a complete block of changes, with what it is without each family beside it."""
    families = {key: find_language(key).family for key in block.languages}
    found = mean_finding(
        label,
        block,
        estimand=Estimand[question.estimand.upper()],
        families=families,
        matters=question.matters,
        items=items,
    )
    return replace(found, beside=(*found.beside, *_without_families(block, families)))


def some_left(table: Table) -> Table:
    """The table itself, or what was left out of it as an error where no seed is left."""
    if not table.seeds:
        raise UserError(f"no seed is left. {' '.join(table.set_aside).removesuffix('.')}")
    return table


def _without_families(block: Table, families: Mapping[str, str]) -> tuple[str, ...]:
    """The effect without each family, from least to most: whether one of them carries it."""
    means = {name: float(table.values.mean()) for name, table in without_each_family(block, families).items()}
    if len(means) < 2:
        return ()
    least, most = min(means, key=lambda name: means[name]), max(means, key=lambda name: means[name])
    return (f"Without one family it is {means[least]:+.2f} ({least}) to {means[most]:+.2f} ({most}).",)
