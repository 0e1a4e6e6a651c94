"""Line-aligned translations as a retrieval task: find each English sentence's translation among all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xstilts.core.errors import UserError
from xstilts.core.reading import DOWNLOAD_AGAIN, read_lines
from xstilts.kinds import RetrievalExample


def read_bitext(foreign: Path, english: Path) -> Iterator[RetrievalExample]:
    """Candidates, the foreign lines, then queries, the English lines, both in order.

    A candidate's id is its line index from 0, which is what XTREME's submission layout holds. Only the same line is
    right, even where another reads the same.

    Raises:
        UserError: a blank line, or files of different length.
    """
    candidates, queries = _lines(foreign), _lines(english)
    if len(candidates) != len(queries):
        raise UserError.at(
            foreign,
            min(len(candidates), len(queries)) + 1,
            f"{len(candidates)} lines, but {len(queries)} in {english.name}",
            "the two files must be aligned line by line: download both again",
        )
    for index, text in enumerate(candidates):
        yield RetrievalExample(str(index), "candidate", text)
    for index, text in enumerate(queries):
        yield RetrievalExample(f"en-{index}", "query", text, relevant=(str(index),))


def _lines(path: Path) -> list[str]:
    lines = []
    for number, line in read_lines(path):
        if not line.strip():
            raise UserError.at(path, number, "blank line in aligned text", DOWNLOAD_AGAIN)
        lines.append(line.strip())
    if not lines:
        raise UserError.at(path, None, "the file is empty", DOWNLOAD_AGAIN)
    return lines
