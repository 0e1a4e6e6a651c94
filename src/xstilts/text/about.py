"""What is known of a tokenizer without tokenising, kept so that whoever tokenises nothing need not load it."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from xstilts.core.atomic import write_whole
from xstilts.core.errors import StorageError


@dataclass(frozen=True)
class About:
    """Numbers of its special pieces, its size, and a hash of all that tokenising depends on."""

    bos: int
    eos: int
    pad: int
    mask: int
    unk: int
    vocab_size: int
    special_ids: list[int]
    fingerprint: str


def file_of(folder: Path, cache: Path) -> Path:
    """Where that of the tokenizer in a folder is kept: named by the files it is read from and the libraries that do."""
    digest = hashlib.sha256(f"{version('transformers')} {version('tokenizers')}".encode())
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".model", ".txt")):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return cache / f"tokenizer-{digest.hexdigest()[:16]}.json"


def keep(about: About, path: Path) -> None:
    """Writes it where that can be written."""
    with suppress(StorageError):
        write_whole(path, json.dumps(asdict(about)).encode())


def read(path: Path) -> About | None:
    """None of what is not there or damaged: it is found anew."""
    try:
        return About(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
