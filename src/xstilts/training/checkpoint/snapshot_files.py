"""Where weights that a stage keeps along its way lie."""

from __future__ import annotations

from pathlib import Path

SNAPSHOTS = "snapshots"
"""Folder of a stage, beside that of its checkpoints."""


def snapshot_path(folder: Path, step: int) -> Path:
    """Where weights that are kept beside the best lie, `folder` being that of the checkpoints: beside it, for they
    stay when the stage is done."""
    return folder.parent / SNAPSHOTS / f"{step:08d}.safetensors"
