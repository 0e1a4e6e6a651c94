"""The answer and the matrix of arms and tasks on a terminal, at 80 columns and more; nothing is cut."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from xstilts.analysis.content import Content, Table


def show(content: Content, console: Console) -> None:
    """Title, matrix in as many blocks of columns as the width asks for, what is missing; last, next to where one types
    on, question and answers."""
    console.print(escape(content.title), style="bold", highlight=False)
    for block in _blocks(content.matrix, console.width):
        grid = Grid(title=content.matrix.title, title_justify="left", pad_edge=False)
        for i, column in enumerate(block.columns):
            grid.add_column(column, justify="left" if i < block.num_keys else "right", no_wrap=True)
        for row in block.rows:
            grid.add_row(*map(escape, row))
        console.print(grid)
    console.print(escape(content.matrix.caption), highlight=False)
    if content.missing:
        console.print(f"{len(content.missing)} results are missing:", highlight=False)
        for line in content.missing[:5]:
            console.print(f"  {escape(line)}", highlight=False)
        if len(content.missing) > 5:
            console.print(f"  and {len(content.missing) - 5} more: see the report", highlight=False)
    if content.question:
        console.print(escape(content.question), style="bold", highlight=False)
    for sentence in (*content.answers, *content.unanswered):
        console.print(escape(sentence), highlight=False)


def _blocks(table: Table, width: int) -> list[Table]:
    """The table with its columns divided so that each block fits; every block begins with the key columns."""
    widths = [max(map(len, column)) + 3 for column in zip(table.columns, *table.rows, strict=True)]
    keys = list(range(table.num_keys))
    blocks: list[list[int]] = []
    for i in range(table.num_keys, len(widths)):
        fits = blocks and sum(widths[j] for j in [*keys, *blocks[-1], i]) <= width
        if fits:
            blocks[-1].append(i)
        else:
            blocks.append([i])
    return [
        Table(
            table.name,
            table.title,
            table.caption,
            tuple(table.columns[i] for i in [*keys, *block]),
            tuple(tuple(row[i] for i in [*keys, *block]) for row in table.rows),
            table.num_keys,
        )
        for block in blocks
    ]
