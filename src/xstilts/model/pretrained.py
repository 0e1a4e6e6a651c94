"""The files of a pretrained model: where they are, and what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import snapshot_download

from xstilts.core.errors import UserError

_FILES = ["*.json", "*.safetensors", "*.model"]


def local_folder(name_or_path: str) -> Path:
    """The folder itself, or the cached copy of a hub repository, which is fetched where it is not there yet.

    Raises:
        UserError: neither the hub nor its cache has it.
    """
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    try:
        return Path(snapshot_download(name_or_path, allow_patterns=_FILES))
    except Exception as error:  # the hub client raises many unrelated types
        reason = (str(error) or type(error).__name__).splitlines()[0]
        problem = f"model.pretrained: cannot fetch '{name_or_path}' ({reason})"
        raise UserError(f"{problem}; prepare where the hub can be reached, or give a local folder") from None


def fingerprint(folder: Path, moved: Callable[[], None]) -> str:
    """A hash of the weights and their configuration, the same for a folder and the hub's repository that it is of.

    `moved` is called after each file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(
            f"model.pretrained: no *.safetensors in {folder}; convert the checkpoint, other formats are not loaded"
        )
    digest = hashlib.sha256()
    for path in [folder / "config.json", *files]:
        try:
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
            moved()
        except OSError as error:
            raise UserError.at(
                path, None, error.strerror or str(error), "model.pretrained needs it; restore the checkpoint"
            ) from None
    return digest.hexdigest()[:16]
