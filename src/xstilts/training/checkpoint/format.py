"""Checkpoints on disk: whole tensors by name, trusted only when every byte checks out.

A checkpoint is a folder `step-00001234` with one safetensors file per writing rank and a `manifest.json` that names the
size and SHA-256 of each, and its own. It is written as `.writing-*`, synced, and renamed, so a folder of that name is
whole; what happens to it afterwards is caught by the hashes. World size and ZeRO stage do not occur in it. The best
weights so far lie beside it, since they do not change with every checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from xstilts.core.digests import digest_of_json
from xstilts.core.errors import StorageError, UserError
from xstilts.core.sealed import read_sealed
from xstilts.distributed import dist, heartbeat
from xstilts.training.checkpoint.snapshot_files import snapshot_path

_FORMAT = 3
_PREFIX = "step-"
_FILE = re.compile(r"rank-\d{5,}\.safetensors", re.ASCII)
MANIFEST = "manifest.json"
_REMEDY = "use another checkpoint"
_GONE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)

T = TypeVar("T")


class Damaged(UserError):
    """The checkpoint is not what was written, or not all of it; one before it may serve."""


@dataclass
class Progress:
    """Where a stage is. The data's state is `step` alone; dropout and masking are functions of it."""

    step: int = 0
    """Steps of the plan done."""
    updates: int = 0
    """Optimizer updates among them: a step that is skipped is none."""
    decay: float = 1.0
    """Product over the updates of 1 - lr x weight decay."""
    loss_scaling: dict[str, float] = field(default_factory=dict)
    """State of fp16's loss scaler; empty without one."""
    best_score: float | None = None
    """Best English dev score so far."""
    best_step: int = 0
    best_weights: str = ""
    """Digest of the weights of that step."""
    snapshots: dict[int, str] = field(default_factory=dict)
    """Step -> digest of the weights that are kept of it beside the best, ascending."""
    num_stale: int = 0
    """Dev evaluations since the best."""
    dev_step: int = 0
    """Step of the last of them; one that falls on a checkpoint comes after it."""
    plan: str = ""
    """Fingerprint of the batch plan and its data."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What monitors carry over, JSON values."""


@dataclass(frozen=True)
class File:
    """One file of a checkpoint."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class _Manifest:
    format: int
    progress: Progress
    files: tuple[File, ...]


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"{_PREFIX}{step:08d}"


def best_path(folder: Path, step: int) -> Path:
    """Where the weights of the best step lie."""
    return folder / f"best-{step:08d}.safetensors"


def checkpoints(folder: Path) -> dict[int, Path]:
    """Step -> checkpoint folder, newest first."""
    found = {int(p.name[len(_PREFIX) :]): p for p in folder.glob(f"{_PREFIX}*") if p.name[len(_PREFIX) :].isdecimal()}
    return dict(sorted(found.items(), reverse=True))


def find_latest(folder: Path, say: Callable[[str], None]) -> tuple[Path, Progress] | None:
    """The newest checkpoint that checks out; damaged ones are said aloud and passed over. Rank 0 looks for all.

    Raises:
        UserError: one was written by another version; what is passed over is removed later, and it is not damaged.
        StorageError: nor is one that cannot be read now.
    """

    def look() -> tuple[Path, Progress] | None:
        candidates = list(checkpoints(folder).values())
        for i, candidate in enumerate(candidates):
            try:
                return candidate, verify(candidate)
            except Damaged as error:
                say(f"{error}; {'trying the one before' if i + 1 < len(candidates) else 'none is left, starting anew'}")
        return None

    found = dist.on_first_rank_long_running(look)
    if found is not None:
        heartbeat.saved(found[0])
    return found


def verify(folder: Path) -> Progress:
    """Checks every byte that the checkpoint consists of; an error names the first file that differs."""
    manifest = _read_manifest(folder)
    progress = manifest.progress
    if folder.name != path_of(folder.parent, progress.step).name:
        raise Damaged.at(folder, None, f"holds step {progress.step}: it has been renamed", "restore its name")
    with ThreadPoolExecutor(max_workers=8) as pool:
        for _ in pool.map(_check, [folder / file.name for file in manifest.files], manifest.files):
            dist.progress()
    kept = {snapshot_path(folder.parent, step): digest for step, digest in progress.snapshots.items()}
    if progress.best_step:
        kept[best_path(folder.parent, progress.best_step)] = progress.best_weights
    for path, digest in kept.items():
        _read(path, lambda path: path.open("rb").close())
        try:
            read_sealed(path, _REMEDY, digest)
        except UserError as error:
            raise Damaged(str(error)) from None
        dist.progress()
    return progress


def read_progress(folder: Path) -> Progress:
    """What the manifest says, the other files unread."""
    return _read_manifest(folder).progress


def open_tensors(folder: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, Callable[[], torch.Tensor]]:
    """`key/parameter` -> a function that reads that tensor; files stay memory-mapped, nothing is read ahead.

    `shapes` are those of the parameters that the checkpoint is to fill; of others, or of others' shape, it is refused.
    """
    found: dict[str, Callable[[], torch.Tensor]] = {}
    remedy = "resume with the model that it was saved from"
    for file in _read_manifest(folder).files:
        path = folder / file.name
        try:
            opened = _read(path, partial(safe_open, framework="pt"))
        except SafetensorError as error:
            raise UserError.at(path, None, f"cannot be read ({error})", _REMEDY) from None
        for name in opened.keys():  # noqa: SIM118 - safe_open is no mapping
            parameter = name.partition("/")[2]
            if tuple(opened.get_slice(name).get_shape()) != tuple(shapes.get(parameter, ())):
                raise UserError.at(path, name, "fits no parameter of this model", remedy)
            found[name] = partial(opened.get_tensor, name)
    keys = {name.partition("/")[0] for name in found}
    for lacking in sorted({f"{key}/{parameter}" for key in keys for parameter in shapes} - found.keys()):
        raise UserError.at(folder, lacking, "is not in the checkpoint", remedy)
    return found


def manifest_bytes(progress: Progress, files: Sequence[File]) -> bytes:
    """The manifest's text, sealed by the digest of what it says."""
    body = asdict(_Manifest(_FORMAT, progress, tuple(files)))
    return json.dumps({"sha256": digest_of_json(body), "body": body}, indent=1).encode()


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    content = _read(path, Path.read_bytes)
    other_version = "finish the stage with the version that began it, or remove its checkpoints"
    try:
        sealed = json.loads(content)
        body, digest = sealed["body"], sealed["sha256"]
        if digest != digest_of_json(body):
            raise Damaged.at(path, None, "damaged: it is not what was written", _REMEDY)
        if body["format"] != _FORMAT:
            problem = f"checkpoint format {body['format']}, this version reads {_FORMAT}"
            raise UserError.at(path, None, problem, other_version)
        manifest: _Manifest = TypeAdapter(_Manifest).validate_python(body)
        for file in manifest.files:
            if not _FILE.fullmatch(file.name):
                raise Damaged.at(path, None, f"names {file.name!r}, which no checkpoint has", _REMEDY)
        return manifest
    except (UserError, ValidationError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError.at(path, None, "was written by another version", other_version) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged.at(path, None, f"unreadable checkpoint manifest ({type(error).__name__})", _REMEDY) from None


def _check(path: Path, file: File) -> None:
    if not _read(path, lambda path: path.stat().st_size == file.size and sha256_of(path) == file.sha256):
        raise Damaged.at(path, None, "damaged: its bytes are not those that were written", _REMEDY)


def _read(path: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of a file. One that is gone is damage; one that cannot be read is not, and is tried once more:
    handles of network file systems go stale."""
    try:
        try:
            return read(path)
        except OSError:
            return read(path)
    except _GONE as error:
        raise Damaged.at(path, None, f"cannot be read ({error.strerror or error})", _REMEDY) from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}); launch again when it can") from None
