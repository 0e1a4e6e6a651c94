"""The answer and the matrix of arms and tasks on a terminal, at 80 columns and more; nothing is cut."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from xstilts.analysis.content import Content
from xstilts.core.grid import grids


def show(content: Content, console: Console) -> None:
    """Title, matrix in as many blocks of columns as the width asks for, what is missing; last, next to where one types
    on, question and answers."""
    console.print(escape(content.title), style="bold", highlight=False)
    matrix = content.matrix
    for grid in grids(matrix.title, matrix.columns, matrix.rows, console.width, num_keys=matrix.num_keys):
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
