"""What a pretrained model's folder says of itself; a run repeats it in its `run.json`, and a report from there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from xstilts.core.atomic import write_whole
from xstilts.core.errors import UserError

FILE = "provenance.json"


@dataclass(frozen=True)
class Provenance:
    """The content of `provenance.json`. Released models have no such file."""

    name: str
    """What the model is to be called."""
    caveats: list[str]
    """Whole sentences that belong beside every result."""
    source: str
    """What it was made from."""
    licence: str
    texts: str | None
    """SHA-256 of the texts that vocabulary and embeddings were cut to; None if they were not."""
    files: dict[str, str]
    """SHA-256 of the folder's other files."""


def read_provenance(folder: Path) -> Provenance | None:
    """None where a folder says nothing of itself; a file that cannot be read is an error."""
    path = folder / FILE
    try:
        return TypeAdapter(Provenance).validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError.at(path, None, error.strerror or str(error), "check the path and its permissions") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"])) or "not JSON"
        raise UserError.at(path, place, detail["msg"], "make the encoder's folder again") from None


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Writes the file."""
    write_whole(folder / FILE, (json.dumps(asdict(provenance), indent=1) + "\n").encode())
