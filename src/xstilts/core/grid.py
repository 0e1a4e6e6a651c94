"""Tables for a terminal of whatever width: too many columns become several tables, and nothing is ever cut."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.markup import escape
from rich.table import Table

_BORDERS = 3
"""Characters beside each column's cells."""


def grids(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    num_keys: int = 1,
    left: Collection[str] = (),
) -> Iterator[Table]:
    """One table, or several that divide the columns so that each fits the width.

    Each begins with the `num_keys` columns that name a row. Columns are aligned to the right but for these and those
    named in `left`. A cell that does not fit beside the keys alone is broken into lines.
    """
    for chosen in _blocks(columns, rows, width, num_keys):
        grid = Table(title=escape(title), title_justify="left", title_style="bold", pad_edge=False)
        for i in chosen:
            is_left = i < num_keys or columns[i] in left
            grid.add_column(escape(columns[i]), justify="left" if is_left else "right", overflow="fold")
        for row in rows:
            grid.add_row(*(escape(row[i]) for i in chosen))
        yield grid


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, num_keys: int) -> list[list[int]]:
    """The columns of each table."""
    widths = [max(map(len, column)) + _BORDERS for column in zip(columns, *rows, strict=True)]
    keys = list(range(num_keys))
    blocks: list[list[int]] = []
    for i in range(num_keys, len(widths)):
        if blocks and sum(widths[j] for j in [*blocks[-1], i]) <= width:
            blocks[-1].append(i)
        else:
            blocks.append([*keys, i])
    return blocks or [keys]
