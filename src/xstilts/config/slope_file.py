"""The measures of a question's slopes, read from CSV files in the place where a recipe names them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xstilts.config.explain import Place
from xstilts.core.errors import UserError


def named_files(raw: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    """(place, slope) of every slope whose `measured` is the name of a file, in a recipe as written."""
    question = raw.get("question") if isinstance(raw, dict) else None
    slopes = question.get("slopes") if isinstance(question, dict) else None
    for name, slope in slopes.items() if isinstance(slopes, dict) else ():
        if isinstance(slope, dict) and isinstance(slope.get("measured"), str):
            yield ("question", "slopes", name, "measured"), slope


def read_measures(path: Path) -> dict[str, Any]:
    """Arm -> measure, or arm -> language -> measure where there is a column `language`.

    Raises:
        UserError: a column is missing, a value is no number, or a line says what another one has said.
    """
    found: dict[str, Any] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError.at(path, None, f"cannot be read ({reason})", "give a CSV file in UTF-8") from None
    reader = csv.DictReader(text.splitlines())
    columns = reader.fieldnames or ()
    for column in ("arm", "value"):
        if column not in columns:
            raise UserError.at(path, 1, f"no column '{column}'", "give arm, value and, of similarities, language")
    for line in reader:
        try:
            value = float(line["value"])
        except (TypeError, ValueError):
            raise UserError.at(path, reader.line_num, f"'{line['value']}' is no number", "mend the line") from None
        held = found.setdefault(line["arm"], {}) if "language" in columns else found
        key = line["language"] if "language" in columns else line["arm"]
        if key in held:
            raise UserError.at(path, reader.line_num, f"'{key}' stands there twice", "remove one of the lines")
        held[key] = value
    return found
