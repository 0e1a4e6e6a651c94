"""Writing checkpoints: every rank a share of the tensors, on request while training goes on; old ones go."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

import torch

from xstilts.core.atomic import cannot_write, make_folder, sync, whole_file
from xstilts.core.errors import DiskFullError, StorageError, UserError
from xstilts.distributed import dist, heartbeat
from xstilts.training.checkpoint import state
from xstilts.training.checkpoint.format import (
    MANIFEST,
    File,
    Progress,
    checkpoints,
    manifest_bytes,
    path_of,
    read_progress,
    verify,
)
from xstilts.training.checkpoint.share import write_share
from xstilts.training.engine import Engine
from xstilts.training.superseded import Superseded

_Written = File | OSError | None
_Shapes = Mapping[str, tuple[int, ...]]
_Tensors = Iterable[tuple[str, torch.Tensor]]


class Saver:
    """Saves a stage's checkpoints below one folder."""

    def __init__(self, folder: Path, *, keep: int, keep_every: int | None = None, asynchronous: bool = False) -> None:
        """Keeps the newest `keep` checkpoints, and for good those of steps that `keep_every` divides.

        `asynchronous`: `save` returns once the state is copied to host memory, and a thread writes it.
        """
        self._folder = folder
        self._keep = keep
        self._keep_every = keep_every
        self._asynchronous = asynchronous
        self._thread: Thread | None = None
        self._failure: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """What is being written is finished, unless this rank has failed: then others may wait for it for ever.

        What fails of it is nothing to a stage that another launch has taken over.
        """
        if isinstance(error, Superseded):
            with suppress(DiskFullError, StorageError):
                self.wait()
        elif error is None or isinstance(error, UserError):
            self.wait()

    def save(self, engine: Engine, progress: Progress) -> None:
        """Saves the engine as it is; a collective. A save that is still being written is waited for first."""
        self.wait()
        progress.updates, progress.decay = state.num_updates(engine), engine.decay
        progress.loss_scaling = state.loss_scaling(engine)
        kept = copy.deepcopy(progress)
        keys = state.keys(engine) if kept.updates else (state.MASTER,)
        shapes = {f"{key}/{name}": shape for (name, key), shape in state.shapes(engine, keys, _is_mine).items()}
        read = state.read(engine, keys, _is_mine)
        tensors = ((f"{key}/{name}", part) for name, key, parts in read for part in parts)
        temporary = self._folder / f".writing-{path_of(self._folder, kept.step).name}"
        dist.on_first_rank(lambda: self._make_room(temporary))
        if self._asynchronous:
            copied = [(name, part.to("cpu", copy=True)) for name, part in tensors]
            work = (temporary, kept, shapes, copied)
            self._thread = Thread(target=self._write_aside, args=work, name="checkpoint", daemon=True)
            self._thread.start()
        else:
            self._write(temporary, kept, shapes, tensors)

    @property
    def failed(self) -> bool:
        """Whether a save aside has gone wrong and nobody was told; other ranks may not know yet."""
        return self._failure is not None

    def wait(self) -> None:
        """Returns when nothing is being written any more; what went wrong with it is raised here, on every rank."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _write_aside(self, temporary: Path, progress: Progress, shapes: _Shapes, tensors: _Tensors) -> None:
        try:
            self._write(temporary, progress, shapes, tensors)
        except Exception as error:
            self._failure = error

    def _write(self, temporary: Path, progress: Progress, shapes: _Shapes, tensors: _Tensors) -> None:
        """All ranks' files, then the manifest, then the name: rank 0 finishes when it knows that all are on disk."""
        written = dist.gather(_write_file(temporary, shapes, tensors), in_background=self._asynchronous)
        failure = self._finish(temporary, progress, written) if dist.rank() == 0 else None
        failure = dist.gather(failure, in_background=self._asynchronous)[0]
        if failure is not None:
            raise failure
        heartbeat.saved(path_of(self._folder, progress.step))

    def _finish(
        self, temporary: Path, progress: Progress, written: Sequence[_Written]
    ) -> DiskFullError | StorageError | None:
        final = path_of(self._folder, progress.step)
        try:
            for outcome in written:
                if isinstance(outcome, Exception):
                    raise outcome
            manifest = manifest_bytes(progress, [file for file in written if isinstance(file, File)])
            with whole_file(temporary / MANIFEST) as path:
                path.write_bytes(manifest)
            if not _is_whole(final):
                shutil.rmtree(final, ignore_errors=True)
                os.replace(temporary, final)
                sync(self._folder)
            self._drop_old(progress)
        except OSError as error:
            return cannot_write(final, error)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return None

    def _make_room(self, temporary: Path) -> None:
        """A folder to write into; what earlier runs left half written goes."""
        try:
            for stale in self._folder.glob(".writing-*"):
                shutil.rmtree(stale, ignore_errors=True)
            make_folder(temporary)
        except OSError as error:
            raise cannot_write(temporary, error) from None

    def _drop_old(self, progress: Progress) -> None:
        """Removes checkpoints beyond those kept, those of later steps (damaged, or the run would have continued from
        them), and best weights that no kept checkpoint speaks of."""
        found = checkpoints(self._folder)
        past = [step for step in found if step <= progress.step]
        keep = {*past[: self._keep], *(step for step in past if self._keep_every and step % self._keep_every == 0)}
        for step in found.keys() - keep:
            shutil.rmtree(found[step], ignore_errors=True)
        try:
            needed = {_best_step(found[step]) for step in keep}
        except StorageError:
            return  # what is needed cannot be told now; a later save can
        for path in self._folder.glob("best-*.safetensors"):
            # This step is evaluated once it is saved: its best weights belong to a checkpoint to come.
            if (step := int(path.stem.partition("-")[2])) < progress.step and step not in needed:
                path.unlink(missing_ok=True)


def _is_mine(index: int) -> bool:
    """Whether this rank writes the tensor with this index."""
    return index % dist.world_size() == dist.rank()


def _write_file(folder: Path, shapes: _Shapes, tensors: _Tensors) -> _Written:
    """This rank's file: its manifest entry, None without tensors, or the error, which all ranks raise together."""
    if not shapes:
        for _ in tensors:
            pass  # to gather what others write is a collective
        return None
    try:
        return write_share(folder / f"rank-{dist.rank():05d}.safetensors", shapes, tensors)
    except OSError as error:
        return error


def _is_whole(folder: Path) -> bool:
    try:
        verify(folder)
    except UserError:
        return False
    return True


def _best_step(folder: Path) -> int:
    """The best step that a checkpoint speaks of; 0 for none, or where it can no longer tell."""
    try:
        return read_progress(folder).best_step
    except UserError:
        return 0
