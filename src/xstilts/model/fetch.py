"""Fetching a pretrained model from the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils.tqdm import tqdm

from xstilts.core.hub import hub_id, not_there

_FILES = ["*.json", "*.safetensors", "*.model"]


def fetched(name: str) -> Path | None:
    """The cached copy; None where there is none, or only a part."""
    try:
        folder = Path(snapshot_download(name, allow_patterns=_FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")) else None


def fetch(name: str, on_progress: Callable[[], None]) -> Path:
    """The cached copy of a repository; `on_progress` is called, in other threads too, whenever a part of a file came.

    Raises:
        UserError: neither the hub nor its cache has it.
    """
    hub_id("model.pretrained", name)

    class ReportingBar(tqdm):
        """The hub's progress bar, shown or not."""

        def update(self, n: Any = 1) -> Any:
            if n:
                on_progress()
            return super().update(n)

    try:
        return Path(snapshot_download(name, allow_patterns=_FILES, tqdm_class=ReportingBar))
    except Exception as error:  # the hub client raises many unrelated types
        raise not_there("model.pretrained", name, error) from None
