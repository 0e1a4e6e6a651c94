"""Line-exact reading of JSON lines, TSV, CSV, JSON and plain lines.

Every function yields `(line number, row)` and turns a broken file, an empty one too, into one `UserError` with
file, line and remedy. A byte-order mark and CRLF line ends are accepted silently: both occur in official releases
and neither carries meaning. Only `\\n` ends a line: U+2028 and its like occur inside official texts.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from xstilts.core.errors import UserError

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


def read_jsonl(
    path: Path, required: Sequence[str] = (), texts: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """One JSON object per line, each with at least the keys `required` and `texts`, the latter holding strings.

    Blank lines are skipped.
    """
    number = 0
    for number, line in read_lines(path):
        if not line.strip():
            continue
        row = _parse(path, line, number)
        if not isinstance(row, dict):
            raise UserError.at(path, number, f"expected a JSON object, found {type(row).__name__}", DOWNLOAD_AGAIN)
        for key in (*required, *texts):
            if key not in row:
                raise UserError.at(path, number, f"no field '{key}'", OFFICIAL_FILE)
        for key in texts:
            if not isinstance(row[key], str):
                raise UserError.at(path, number, f"field '{key}' is not a text", DOWNLOAD_AGAIN)
        yield number, row
    _not_empty(path, number)


def read_json(path: Path) -> Any:
    """A whole JSON document."""
    text = "\n".join(line for _, line in read_lines(path))
    _not_empty(path, len(text.strip()))
    return _parse(path, text)


def _parse(path: Path, text: str, number: int | None = None) -> Any:
    """The JSON value of `text`, which is line `number` of the file or, without, all of it."""
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except json.JSONDecodeError as error:
        problem = f"malformed JSON ({error.msg} at column {error.colno})"
        raise UserError.at(path, number or error.lineno, problem, DOWNLOAD_AGAIN) from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise UserError.at(path, number, f"unreadable JSON ({error})", DOWNLOAD_AGAIN) from None
    except _RepeatedFieldError as error:
        raise UserError.at(path, number, f"field {error} occurs twice in one object", "remove one of them") from None


class _RepeatedFieldError(Exception):
    """The name of the field, quoted."""


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise _RepeatedFieldError(repr(name))
    return row


def line_of(path: Path, needle: str) -> int | None:
    """The first line that contains `needle`: gives an error inside a JSON document its line."""
    return next((number for number, line in read_lines(path) if needle in line), None)


def read_tsv(path: Path, num_columns: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """Tab-separated cells without any quoting (the GLUE and XTREME convention: `\"` is a plain character).

    With `num_columns`, a line of another width is an error. Blank lines are skipped.
    """
    number = 0
    for number, line in read_lines(path):
        if not line:
            continue
        cells = line.split("\t")
        if num_columns is not None and len(cells) != num_columns:
            raise UserError.at(path, number, f"{len(cells)} columns where {num_columns} were expected", DOWNLOAD_AGAIN)
        yield number, cells
    _not_empty(path, number)


def read_tsv_table(
    path: Path, required: Sequence[str], skipped: Counter[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """TSV rows by the names in the header, which has at least the `required` ones.

    A row of another width than the header's is an error or, given `skipped`, is left out and counted there: for
    releases that are themselves broken.
    """
    rows = read_tsv(path)
    number, header = next(rows)
    start = number
    _check_header(path, header, required)
    for number, cells in rows:
        if len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True))
        elif skipped is not None:
            skipped[f"row without the {len(header)} columns of the header"] += 1
        else:
            raise UserError.at(path, number, f"{len(cells)} columns where the header has {len(header)}", DOWNLOAD_AGAIN)
    _not_empty(path, number - start)


def read_csv(path: Path, required: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Comma-separated rows with quoting and a header; the number is the line on which the row ends."""
    line_number = 0

    def lines() -> Iterator[str]:
        nonlocal line_number
        for number, line in read_lines(path):
            line_number = number
            yield line + "\n"

    reader = csv.DictReader(lines(), strict=True)
    num_rows = 0
    try:
        header = reader.fieldnames or ()
        _not_empty(path, line_number)
        _check_header(path, header, required)
        for row in reader:
            num_rows += 1
            if None in row or None in row.values():
                problem = f"row does not have the header's {len(header)} columns"
                raise UserError.at(path, line_number, problem, DOWNLOAD_AGAIN)
            yield line_number, row
    except csv.Error as error:
        raise UserError.at(path, line_number, f"malformed CSV ({error})", DOWNLOAD_AGAIN) from None
    _not_empty(path, num_rows)


def _not_empty(path: Path, size: int) -> None:
    if size == 0:
        raise UserError.at(path, None, "the file has no rows", "download the file again")


def _check_header(path: Path, header: Sequence[str], required: Sequence[str]) -> None:
    for name in required:
        if name not in header:
            raise UserError.at(path, 1, f"no column {name!r}", f"{OFFICIAL_FILE} with its header")
    for name, count in Counter(header).items():
        if count > 1:
            raise UserError.at(path, 1, f"column {name!r} occurs {count} times", OFFICIAL_FILE)
