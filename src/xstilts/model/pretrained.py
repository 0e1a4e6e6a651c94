"""The files of a pretrained model: where they are, and what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from xstilts.core.checksum import Checksums
from xstilts.core.errors import UserError
from xstilts.model.released import RELEASED, check_trainable

NOT_FETCHED = "not fetched"
"""Stands in a plan for the identity of weights that are not here."""


def local_folder(name_or_path: str, on_progress: Callable[[], None] = lambda: None) -> Path:
    """The folder itself, or the cached copy of a hub repository, which is fetched where it is not there yet.

    `on_progress` is called, in other threads too, whenever a part of a file has come.

    Raises:
        UserError: neither the hub nor its cache has it.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    check_trainable(name_or_path)
    from xstilts.model.fetch import fetch  # imports the hub's client, which a folder needs not

    return fetch(name_or_path, on_progress)


def identity_in_plan(name_or_path: str, checksums: Checksums) -> str:
    """What a plan calls the weights: `fingerprint`, or `NOT_FETCHED` where those of a released model are not here."""
    if name_or_path in RELEASED and not Path(name_or_path).is_dir():
        from xstilts.model.fetch import fetched

        folder = fetched(name_or_path)
        if folder is None:
            return NOT_FETCHED
    else:
        folder = local_folder(name_or_path)
    return fingerprint(folder, checksums, lambda: None)


def fingerprint(folder: Path, checksums: Checksums, on_progress: Callable[[], None]) -> str:
    """A hash of the weights and their configuration, the same for a folder and the hub's repository that it is of.

    `checksums` remembers what was read before; `on_progress` is called after each file.

    Raises:
        UserError: a file is missing or cannot be read.
    """
    config, files = folder / "config.json", sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(
            f"model.pretrained: no *.safetensors in {folder}; convert the checkpoint, other formats are not loaded"
        )
    if not config.is_file():
        raise UserError.at(config, None, "no such file", "model.pretrained needs it; restore the checkpoint")
    digest = hashlib.sha256()
    for path in [config, *files]:
        digest.update(bytes.fromhex(checksums.of(path)))
        on_progress()
    return digest.hexdigest()[:16]
