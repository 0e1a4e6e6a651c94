"""The tables of a report: arm x target, groups and means, every score."""

from __future__ import annotations

from collections.abc import Sequence

from xstilts.analysis.content import Table, rows_of
from xstilts.analysis.groups import group_means
from xstilts.analysis.transfer import Cell, Change, Interval, Mean
from xstilts.tasks.languages import find_language

_MEAN_COLUMNS = ("target", "split", "metric", "arm", "languages", "score", "change", "95 % of change")


def matrix_table(averages: Sequence[Mean], baseline: str) -> Table:
    """Arm x target: mean over languages of the primary metric, and its change."""
    primary = [mean for mean in averages if mean.primary]
    targets = list(dict.fromkeys((mean.task, mean.split) for mean in primary))
    arms = list(dict.fromkeys(mean.arm for mean in primary))
    arms.sort(key=lambda arm: arm != baseline)
    found = {(mean.arm, mean.task, mean.split): mean for mean in primary}
    rows = [[arm, *(_cell_text(found.get((arm, *target))) for target in targets)] for arm in arms]
    names = [task if split == "test" else f"{task} {split}" for task, split in targets]
    caption = f"Mean over languages of each target's first metric, percent; in brackets the change against {baseline}."
    return Table("matrix", "Arm x target", caption, ("arm", *names), rows_of(rows))


def _cell_text(mean: Mean | None) -> str:
    if mean is None:
        return "-"
    return f"{mean.score:.1f}" if mean.change.mean is None else f"{mean.score:.1f} ({mean.change.mean:+.1f})"


def small_tables(cells: Sequence[Cell], averages: Sequence[Mean]) -> list[Table]:
    """Changes by groups of languages, if there are two groups, and every metric in means over languages."""
    tables = []
    groups = group_means(cells)
    if groups:
        rows = [(g.grouping, g.group, g.task, g.arm, g.num_languages, f"{g.change:+.2f}") for g in groups]
        caption = "Mean change over the languages of a group, English left out; small groups say little."
        columns = ("by", "group", "target", "arm", "languages", "change")
        tables.append(Table("groups", "Groups of languages", caption, columns, rows_of(rows), num_keys=4))
    rows_ = [
        (m.task, m.split, m.metric, m.arm, m.num_languages, f"{m.score:.2f}", *_change_text(m.change)) for m in averages
    ]
    caption = "Every metric; the interval is over seeds (t, from two seeds on)."
    tables.append(Table("means", "Mean over languages", caption, _MEAN_COLUMNS, rows_of(rows_), num_keys=4))
    return tables


def score_table(cells: Sequence[Cell]) -> Table:
    """Every score."""
    rows = [
        (
            *(cell.task, _language(cell.language), cell.split, cell.metric, cell.arm, cell.num_examples),
            *(f"{cell.chance:.2f}", None if cell.majority is None else f"{cell.majority:.2f}"),
            *(f"{cell.score:.2f}", _range(cell.interval, ".2f"), *_change_text(cell.change)),
            *(len(cell.scores), cell.num_collapsed),
        )
        for cell in cells
    ]
    columns = (
        *("target", "language", "split", "metric", "arm", "n", "chance", "majority", "score", "95 %"),
        *("change", "95 % of change", "seeds", "collapsed"),
    )
    caption = (
        "Percent. The first interval is over test examples (bootstrap), that of the change over seeds (t, from two "
        "on). Collapsed: runs no better than chance or the best constant prediction."
    )
    return Table("scores", "All scores", caption, columns, rows_of(rows), num_keys=5)


def _change_text(change: Change) -> tuple[str, str]:
    """The mean change and its interval, each empty where there is none."""
    return ("" if change.mean is None else f"{change.mean:+.2f}"), _range(change.interval, "+.2f")


def _range(interval: Interval | None, form: str) -> str:
    return "" if interval is None else f"{interval[0]:{form}} to {interval[1]:{form}}"


def _language(key: str) -> str:
    return f"{find_language(key).name} ({key})"
