"""Files of text in any form that a release may have, as the words in them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError

_REMEDY = "name files of text in UTF-8, or folders of them"


@dataclass(frozen=True)
class Texts:
    """What was read."""

    contents: dict[Path, str]
    skipped: list[Path]
    """Files below a folder that are no text in UTF-8."""
    digest: str
    """SHA-256 of the contents, wherever the files are."""


def read_texts(paths: Sequence[Path]) -> Texts:
    """Reads the files given, and all those below the folders given.

    Raises:
        UserError: a path is not there, a file given by name is not UTF-8, or there is no file at all.
    """
    contents: dict[Path, str] = {}
    skipped = []
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_dir():
                continue
            try:
                contents[file] = file.read_text(encoding="utf-8-sig")
            except OSError as error:
                raise UserError.at(file, None, error.strerror or str(error), _REMEDY) from None
            except UnicodeDecodeError as error:
                if file == path:
                    raise UserError.at(file, None, f"is not UTF-8 ({error.reason})", _REMEDY) from None
                skipped.append(file)
    if not contents:
        raise UserError(f"--texts: no text below {', '.join(map(str, paths))}; {_REMEDY}")
    digests = sorted(hashlib.sha256(text.encode()).hexdigest() for text in contents.values())
    return Texts(contents, skipped, hashlib.sha256("".join(digests).encode()).hexdigest())


def words_of(texts: Texts) -> set[str]:
    """What stands between blanks, tabs and line ends: of `.json` and `.jsonl` in every string, of `.csv` in every cell,
    of other files in the whole."""
    words: set[str] = set()
    for path, text in texts.contents.items():
        try:
            for string in _strings(path.suffix, text):
                words.update(re.findall(r"[^ \t\r\n]+", string))
        except (json.JSONDecodeError, csv.Error) as error:
            raise UserError.at(path, None, f"is no {path.suffix} file ({error})", "mend it or leave it out") from None
    return words


def _strings(suffix: str, text: str) -> Iterable[str]:
    if suffix == ".csv":
        return (cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row)
    if suffix == ".json":
        return _strings_in(json.loads(text))
    if suffix == ".jsonl":
        return (string for line in text.split("\n") if line.strip() for string in _strings_in(json.loads(line)))
    return [text]


def _strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings_in(part)
