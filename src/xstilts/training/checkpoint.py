"""Checkpoints: whole tensors by name, shared out over ranks to write, trusted only when every byte checks out.

A checkpoint is a folder `step-00001234` with one safetensors file per writing rank and a `manifest.json` that names every
file's size and SHA-256. It is written as `.writing-*`, synced, and renamed, so a folder of that name is whole; what the
disk does to it afterwards is caught by the hashes. World size and ZeRO stage do not occur in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from xstilts.cluster import dist, heartbeat
from xstilts.errors import UserError
from xstilts.training import state
from xstilts.training.engine import Engine

_FORMAT = 1
_PREFIX = "step-"


@dataclass
class Progress:
    """Where a stage is. The data's state is `step` alone; dropout and masking are functions of it."""

    step: int = 0
    """Optimizer steps taken."""
    best_score: float | None = None
    """Best English dev score so far."""
    best_step: int = 0
    num_stale: int = 0
    """Dev evaluations since the best."""
    plan: str = ""
    """Fingerprint of the batch plan and its data."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What monitors carry over, JSON values."""


def save(folder: Path, engine: Engine, progress: Progress, keep: int) -> None:
    """Writes a checkpoint below `folder` and removes all but the newest `keep`; a collective."""
    final = folder / f"{_PREFIX}{progress.step:08d}"
    temporary = folder / f".writing-{final.name}"
    dist.on_first_rank(lambda: _fresh(temporary))
    dist.barrier()
    mine: dict[str, torch.Tensor] = {}
    kinds = state.keys(engine) if progress.step else (state.MASTER,)
    for i, (name, key, tensor) in enumerate(state.read(engine, kinds)):
        if i % dist.world_size() == dist.rank():
            mine[f"{key}/{name}"] = tensor.to("cpu", copy=True).contiguous()
    entries = dist.gather(_write(temporary, mine))
    failures = [entry["error"] for entry in entries if entry and "error" in entry]

    def finish() -> None:
        if failures:
            shutil.rmtree(temporary, ignore_errors=True)
            raise UserError(f"cannot write checkpoint {final}: {failures[0]}; free space, then launch again")
        manifest = {"format": _FORMAT, "progress": progress.__dict__, "keys": kinds, "files": [e for e in entries if e]}
        try:
            _write_synced(temporary / "manifest.json", json.dumps(manifest, indent=1).encode())
            shutil.rmtree(final, ignore_errors=True)
            os.replace(temporary, final)
            _sync_folder(folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise UserError(f"cannot write checkpoint {final}: {error.strerror}; free space, then launch again") from None
        for old in checkpoints(folder)[keep:]:
            shutil.rmtree(old, ignore_errors=True)

    dist.on_first_rank(finish)
    heartbeat.saved(final)


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first."""
    return sorted((p for p in folder.glob(f"{_PREFIX}*") if p.name[len(_PREFIX) :].isdigit()), reverse=True)


def find_latest(folder: Path, say: Callable[[str], None]) -> tuple[Path, Progress] | None:
    """The newest checkpoint that checks out; damaged ones are said aloud and passed over. Rank 0 looks for all."""

    def look() -> tuple[Path, Progress] | None:
        for candidate in checkpoints(folder):
            try:
                return candidate, verify(candidate)
            except UserError as error:
                say(f"{error}; trying the one before")
        return None

    found = dist.on_first_rank(look)
    if found is not None:
        heartbeat.saved(found[0])
    return found


def verify(folder: Path) -> Progress:
    """Checks every byte against the manifest; an error names the first file that differs."""
    remedy = "use another checkpoint"
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["format"] != _FORMAT:
            raise UserError.at(path, None, f"checkpoint format {manifest['format']}, this version reads {_FORMAT}", remedy)
        progress, files = Progress(**manifest["progress"]), [(str(f["name"]), int(f["size"]), str(f["sha256"])) for f in manifest["files"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError.at(path, None, f"unreadable checkpoint manifest ({type(error).__name__})", remedy) from None
    for name, size, digest in files:
        file = folder / name
        if Path(name).name != name or not file.is_file():
            raise UserError.at(file, None, "missing from the checkpoint", remedy)
        if file.stat().st_size != size or _sha256(file) != digest:
            raise UserError.at(file, None, "damaged: its bytes are not those that were written", remedy)
    return progress


def open_tensors(folder: Path) -> dict[str, Callable[[], torch.Tensor]]:
    """`key/parameter` -> a function that reads that tensor; files stay memory-mapped, nothing is read ahead."""
    found: dict[str, Callable[[], torch.Tensor]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            opened = safe_open(file, framework="pt")
        except (OSError, SafetensorError) as error:
            raise UserError.at(file, None, f"unreadable ({error})", "use another checkpoint") from None
        for name in opened.keys():  # noqa: SIM118 - safe_open is no mapping
            found[name] = lambda opened=opened, name=name: opened.get_tensor(name)
    return found


def _fresh(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot write checkpoint {folder}: {error.strerror}; mend the run directory") from None


def _write(folder: Path, tensors: dict[str, torch.Tensor]) -> dict[str, Any] | None:
    """This rank's file: its manifest entry, None without tensors, or the error, which is reported by all ranks together."""
    if not tensors:
        return None
    path = folder / f"rank-{dist.rank():05d}.safetensors"
    try:
        save_file(tensors, path)
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
        return {"name": path.name, "size": path.stat().st_size, "sha256": _sha256(path)}
    except (OSError, SafetensorError) as error:
        return {"error": f"{path.name}: {error}"}


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
