"""Files with one word and its tag per line and a blank line after each sentence: PAN-X, MasakhaNER, MasakhaPOS."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from xstilts.core.errors import UserError, did_you_mean
from xstilts.core.reading import DOWNLOAD_AGAIN, OFFICIAL_FILE, read_lines

_DOCUMENT_START = "-DOCSTART-"


def read_columns(
    path: Path, tags: Collection[str], skipped: Counter[str], *, separator: str, prefixed: bool = False
) -> Iterator[tuple[list[str], list[str]]]:
    """`(words, tags)` of every sentence.

    Args:
        path: the file.
        tags: the closed set of tags.
        skipped: counts the tags without a word (MasakhaNER 2.0 has one), which are left out.
        separator: pattern between word and tag; words may hold any other white space.
        prefixed: words are written `en:word`; the code up to the first colon is removed (PAN-X).

    Raises:
        UserError: a line without exactly two columns, without its prefix, or with an unknown tag; with file and line.
    """
    between = re.compile(separator)
    words: list[str] = []
    labels: list[str] = []
    num_sentences = 0
    for number, line in read_lines(path):
        if not line.strip() or line.startswith(_DOCUMENT_START):
            if words:
                yield words, labels
                num_sentences += 1
            words, labels = [], []
            continue
        cells = between.split(line.strip(" \t"))
        if len(cells) == 1 and cells[0] in tags and between.match(line):
            skipped["tag without a word"] += 1
            continue
        if len(cells) != 2:
            raise UserError.at(
                path, number, f"{len(cells)} columns where a word and its tag were expected", DOWNLOAD_AGAIN
            )
        word, tag = cells
        if prefixed:
            code, colon, word = word.partition(":")
            if not colon:
                raise UserError.at(path, number, f"word '{code}' has no language prefix 'xx:'", OFFICIAL_FILE)
        if tag not in tags:
            raise UserError.at(path, number, f"unknown tag '{tag}'", did_you_mean(tag, tags))
        words.append(word.strip())
        labels.append(tag)
    if words:
        yield words, labels
        num_sentences += 1
    if not num_sentences:
        raise UserError.at(path, None, "no sentences", OFFICIAL_FILE)
