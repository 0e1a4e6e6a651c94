"""What a report says, in its order; how it looks is the business of `html`, `markdown` and `terminal`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xstilts.analysis.figures.figure import Figure


@dataclass(frozen=True)
class Table:
    """Cells as they are shown; the first `num_keys` columns name a row."""

    name: str
    """Of its CSV file, without suffix."""
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    num_keys: int = 1

    def csv(self) -> str:
        """The cells with a header."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return stream.getvalue()


@dataclass(frozen=True)
class Content:
    """A report."""

    title: str
    question: str
    """Empty where the recipe asks none."""
    answers: tuple[str, ...]
    """Whole sentences with effect, interval, seeds, languages and verdict."""
    unanswered: tuple[str, ...]
    """Whole sentences: which parts of the question nothing can be said of yet, and why."""
    notes: tuple[str, ...]
    """What limits every number below: caveats of the encoder first."""
    missing: tuple[str, ...]
    """What an unfinished study has not computed yet, a line each."""
    matrix: Table
    """Arm x task, the table that a reader looks for first."""
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    """Smaller tables: groups of languages, means."""
    scores: Table
    """Every score, thousands of rows."""
    runs: tuple[str, ...]
    """What was run, where, with what, at what cost."""

    def files(self) -> dict[str, str]:
        """CSV file name -> content, of everything that is drawn or tabulated."""
        parts: Iterable[Figure | Table] = (self.matrix, *self.figures, *self.tables, self.scores)
        return {f"{part.name}.csv": part.csv() for part in parts}


def rows_of(cells: Sequence[Sequence[object]]) -> tuple[tuple[str, ...], ...]:
    """Rows of text; None is empty."""
    return tuple(tuple("" if cell is None else str(cell) for cell in row) for row in cells)
