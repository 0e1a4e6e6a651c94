"""Text that fits the terminal it is read on."""

from __future__ import annotations

import re
import shutil
import textwrap

_LABEL = re.compile(r"\s*(?:\S+ ){0,2}\s{2,}")
"""Indentation, and a label before two or more spaces: what follows is wrapped below its own beginning."""
_WIDEST = 100


def fit(text: str) -> str:
    """The text with lines broken at the width of the terminal, 80 columns where there is none; nothing is cut."""
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    return "\n".join(_wrapped(line, width) for line in text.splitlines())


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    label = _LABEL.match(line)
    indent = len(label[0]) if label else len(line) - len(line.lstrip()) + 2
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * min(indent, width // 2),
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
