"""Line-exact reading of JSON lines, TSV, CSV, JSON and plain lines.

Every function yields `(line number, row)` and turns a broken file into one `UserError` with file, line
and remedy. A byte-order mark and CRLF line ends are accepted silently: both occur in official releases
and neither carries meaning. Only `\\n` ends a line: U+2028 and its like occur inside official texts.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xstilts.errors import UserError

DOWNLOAD_AGAIN = "download the file again or remove the damaged part"
OFFICIAL_FILE = "check that this is the official file"


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """`(line number from 1, line without its end)`; an error where a line is not UTF-8."""
    try:
        with path.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise UserError.at(
                        path, number, f"not UTF-8 (byte {error.start} of the line)", "convert the file to UTF-8"
                    ) from None
                yield number, line.rstrip("\n").removesuffix("\r")
    except OSError as error:
        raise UserError.at(path, None, error.strerror or str(error), "check the path and its permissions") from None


def read_jsonl(path: Path, required: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """One JSON object per line, each with at least the `required` keys; blank lines are skipped."""
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError.at(path, number, f"malformed JSON ({error.msg} at column {error.colno})", DOWNLOAD_AGAIN) from None
        if not isinstance(row, dict):
            raise UserError.at(path, number, f"expected a JSON object, found {type(row).__name__}", DOWNLOAD_AGAIN)
        for key in required:
            if key not in row:
                raise UserError.at(path, number, f"no field '{key}'", OFFICIAL_FILE)
        yield number, row


def read_json(path: Path) -> Any:
    """A whole JSON document."""
    text = "\n".join(line for _, line in read_lines(path))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError.at(path, error.lineno, f"malformed JSON ({error.msg} at column {error.colno})", DOWNLOAD_AGAIN) from None


def line_of(path: Path, needle: str) -> int | None:
    """The first line that contains `needle`: gives an error inside a JSON document its line."""
    return next((number for number, line in read_lines(path) if needle in line), None)


def read_tsv(path: Path, num_columns: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """Tab-separated cells without any quoting (the GLUE and XTREME convention: `\\"` is a plain character).

    With `num_columns`, a line of another width is an error. Blank lines are skipped.
    """
    for number, line in read_lines(path):
        if not line:
            continue
        cells = line.split("\t")
        if num_columns is not None and len(cells) != num_columns:
            raise UserError.at(path, number, f"{len(cells)} columns where {num_columns} were expected", DOWNLOAD_AGAIN)
        yield number, cells


def read_csv(path: Path, required: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Comma-separated rows with quoting and a header; the number is the line on which the row ends."""
    numbers = [0]

    def lines() -> Iterator[str]:
        for number, line in read_lines(path):
            numbers[0] = number
            yield line + "\n"

    reader = csv.DictReader(lines(), strict=True)
    try:
        for key in required:
            if key not in (reader.fieldnames or ()):
                raise UserError.at(path, 1, f"no column '{key}'", "check that this is the official file with its header")
        for row in reader:
            if None in row or None in row.values():
                raise UserError.at(
                    path, numbers[0], f"row does not have the header's {len(reader.fieldnames or ())} columns", DOWNLOAD_AGAIN
                )
            yield numbers[0], row
    except csv.Error as error:
        raise UserError.at(path, numbers[0], f"malformed CSV ({error})", DOWNLOAD_AGAIN) from None
