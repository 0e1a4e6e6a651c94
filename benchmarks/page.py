"""Result pages: a heading with date, command, machine and versions, and tables in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version


def begin(title: str, command: str, packages: Sequence[str] = ("torch", "deepspeed", "transformers")) -> None:
    """Prints the heading of a result page."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"# {title}\n")
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}.\nMade by `{command}`.\n")


def table(columns: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table; columns of numbers stand to the right."""
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    for cells in (columns, ["---:" if number else "---" for number in right], *rows):
        print(f"| {' | '.join(map(_shown, cells))} |")
    print()


def _shown(cell: object) -> str:
    return f"{cell:.1e}" if isinstance(cell, float) else f"{cell:,}" if isinstance(cell, int) else str(cell)
