"""The visits of a stage, recorded while it trains: what each item's loss was before the update that learnt from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xstilts.core.errors import DiskFullError, StorageError, UserError
from xstilts.data.loader import MicroBatch
from xstilts.distributed import dist
from xstilts.kinds.feature import NO_LABEL
from xstilts.measures.visits import VisitRecorder, compact, is_recorded, rewind


@dataclass(frozen=True)
class ItemLosses:
    """The items of one task in a micro-batch, each of those that have a known target; of equal length."""

    task: str
    ids: list[str]
    visits: list[int]
    nll: list[float]
    """Nats, over the item's targets; likewise `p_gold`, a mean."""
    p_gold: list[float]
    num_targets: list[int]


def record_step(
    recorder: VisitRecorder, step: int, micro_batches: Sequence[MicroBatch], of_targets: Sequence[np.ndarray]
) -> None:
    """Records a step's items on this rank; `of_targets` as `items_of` takes it, of each micro-batch. An item's windows
    may lie in several micro-batches, and are put together when visits are read."""
    for micro, losses in zip(micro_batches, of_targets, strict=True):
        for items in items_of(micro, losses):
            recorder.add(
                items.task,
                step,
                ids=items.ids,
                visits=items.visits,
                nll=items.nll,
                p_gold=items.p_gold,
                num_targets=items.num_targets,
            )


def items_of(micro: MicroBatch, losses: np.ndarray) -> Iterator[ItemLosses]:
    """From the losses of targets to those of items; an item without a known target, such as a text with nothing to
    mask, is left out.

    Args:
        losses: of each target of the micro-batch, head by head, float32 [targets]; of a target of several numbers, an
            answer's start and end, the mean of theirs.
    """
    first = 0
    for task, head in micro.batch.heads.items():
        num_targets, num_items = len(head.weights), len(head.sizes)
        if num_items:
            numbers_of_each = math.prod(head.targets.shape[1:])
            nll = losses[first : first + num_targets].astype(np.float64) * numbers_of_each
            known = (head.targets.numpy().reshape(num_targets, numbers_of_each) != NO_LABEL).all(1)
            item, nll = np.repeat(np.arange(num_items), head.sizes)[known], nll[known]
            count = np.bincount(item, minlength=num_items)
            seen = np.flatnonzero(count)
            p_gold = np.bincount(item, np.exp(-nll), minlength=num_items)[seen] / count[seen]
            ids, visits = micro.ids[task], micro.visits[task]
            yield ItemLosses(
                task,
                ids=[ids[i] for i in seen.tolist()],
                visits=[visits[i] for i in seen.tolist()],
                nll=np.bincount(item, nll, minlength=num_items)[seen].tolist(),
                p_gold=p_gold.tolist(),
                num_targets=count[seen].tolist(),
            )
        first += num_targets


def begin_visits(folder: Path, first_step: int) -> VisitRecorder | None:
    """This rank's recorder of a stage that is at step `first_step`; a collective.

    None where the steps before have left no whole record, because they were taken without one or a file is damaged:
    half a record measures nothing.
    """

    def whole_so_far() -> bool:
        try:
            rewind(folder, first_step)
        except DiskFullError:
            raise
        except UserError:
            pass
        else:
            if is_recorded(folder, first_step):
                return True
        rewind(folder, 0)
        return False

    if not dist.on_first_rank(whole_so_far):
        return None
    return VisitRecorder(folder, first_step=first_step, rank=dist.rank(), world_size=dist.world_size())


def flush_visits(recorder: VisitRecorder, end_step: int) -> None:
    """Writes every rank's visits of the steps before `end_step`, before a checkpoint says that these were taken; a
    collective.

    Raises:
        DiskFullError, StorageError: a rank could not; on every rank.
    """
    failure: DiskFullError | StorageError | None = None
    try:
        recorder.flush(end_step)
    except (DiskFullError, StorageError) as error:
        failure = error
    if (first := next(filter(None, dist.gather(failure)), None)) is not None:
        raise first


def finish_visits(recorder: VisitRecorder, folder: Path, num_steps: int) -> int | str:
    """Leaves one file of all ranks' visits; a collective.

    Returns:
        Their number; or what is wrong with a file that was written before: no reason to lose a trained stage.

    Raises:
        DiskFullError, StorageError: the file cannot be written; on every rank.
    """
    flush_visits(recorder, num_steps)

    def make_one_file() -> int | str:
        try:
            return compact(folder, num_steps)
        except DiskFullError:
            raise
        except UserError as error:
            return str(error)

    return dist.on_first_rank(make_one_file)
