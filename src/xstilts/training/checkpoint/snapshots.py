"""Weights kept along a stage's way, the newest few: what is averaged or chosen among when it is done.

Like the best weights they are whole files beside the checkpoints, which only name them, so that a checkpoint costs no
more. One is removed when neither the stage nor a checkpoint that it may resume from speaks of it any more.
"""

from __future__ import annotations

from pathlib import Path

from xstilts.core.errors import StorageError, UserError
from xstilts.distributed import dist
from xstilts.training.checkpoint.format import Progress, checkpoints, read_progress
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.checkpoint.snapshot_files import snapshot_path
from xstilts.training.checkpoint.weights import save_weights
from xstilts.training.engine import Engine


def take_snapshot(engine: Engine, progress: Progress, saver: Saver, folder: Path, keep: int) -> None:
    """Keeps the weights as they are, and the newest `keep` in all; a collective. `folder` is that of the checkpoints.

    Raises:
        DiskFullError, StorageError: it, or a checkpoint written aside before it, is not written; on every rank.
    """
    saver.wait()  # a checkpoint still being written speaks of snapshots too
    progress.snapshots[progress.step] = save_weights(snapshot_path(folder, progress.step), engine)
    for step in sorted(progress.snapshots)[:-keep]:
        del progress.snapshots[step]
    dist.on_first_rank(lambda: drop_snapshots(folder, progress))


def drop_snapshots(folder: Path, progress: Progress) -> None:
    """Removes what nothing speaks of; by one rank."""
    needed = set(progress.snapshots)
    for path in checkpoints(folder).values():
        try:
            needed |= read_progress(path).snapshots.keys()
        except StorageError:
            return  # what is needed cannot be told now; the next snapshot can
        except UserError:
            continue
    for path in snapshot_path(folder, 0).parent.glob("*.safetensors"):
        if int(path.stem) not in needed:
            path.unlink(missing_ok=True)
