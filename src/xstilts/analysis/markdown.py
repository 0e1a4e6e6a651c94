"""A report as Markdown beside its figures and data."""

from __future__ import annotations

from xstilts.analysis.content import Content, Table

_MOST_ROWS = 200
"""A longer table of scores stands in its CSV file alone."""


def to_markdown(content: Content, folder: str) -> str:
    """The page; figures and data are looked for in `folder`, relative to it."""
    lines = [f"# {content.title}", ""]
    if content.question:
        lines += [f"*{content.question}*", ""]
    lines += [line for answer in content.answers for line in (f"> **{answer}**", "")]
    lines += [line for sentence in content.unanswered for line in (f"> {sentence}", "")]
    lines += [line for note in content.notes for line in (note, "")]
    if not content.question:
        lines += ["This recipe asks no question, so no verdict is given: what follows describes these runs.", ""]
    if content.missing:
        lines += ["## Missing", "", *(f"- {line}" for line in content.missing), ""]
    lines += _table(content.matrix, folder)
    for figure in content.figures:
        lines += [f"## {figure.title}", "", f"{figure.caption} [data]({folder}/{figure.name}.csv)", ""]
        lines += [f"![{figure.title}]({folder}/{figure.name}.svg)", ""]
    for part in content.tables:
        lines += _table(part, folder)
    lines += ["## What was run", "", *(f"- {line}" for line in content.runs), ""]
    lines += _table(content.scores, folder)
    return "\n".join(lines)


def _table(table: Table, folder: str) -> list[str]:
    lines = [f"## {table.title}", "", f"{table.caption} [data]({folder}/{table.name}.csv)".strip(), ""]
    if len(table.rows) > _MOST_ROWS:
        return [*lines[:-1], "", f"{len(table.rows):,} rows: in the data.", ""]
    sides = ["---" if i < table.num_keys else "---:" for i in range(len(table.columns))]
    rows = [table.columns, tuple(sides), *table.rows]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows), ""]
