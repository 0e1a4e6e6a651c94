"""Reading and tokenising ahead of a run, by several processes, continuing where it was interrupted."""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from queue import Empty
from typing import Any, Protocol

from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue, Part
from xstilts.tasks import Task, find_task
from xstilts.tasks.registry import own_tasks, register_own

_ROWS_PER_REPORT = 500


@dataclass(frozen=True)
class Prepared:
    """One part that is in the cache now."""

    part: Part
    num_examples: int
    official: int | None
    """Examples of the official release, where that is what was read and its size is known."""
    skipped: dict[str, int]
    """Broken rows of the release that were left out, by reason."""
    contents: dict[str, str]
    """File -> SHA-256, or place on the hub -> revision."""
    num_tokenised: int
    """Examples tokenised just now; 0 where the cache held them."""
    seconds: float


class Listener(Protocol):
    """Is told how preparing goes on."""

    def advance(self, part: Part, num_examples: int) -> None:
        """So many more examples of a part are tokenised."""

    def finish(self, prepared: Prepared) -> None:
        """A part is done."""


def prepare(catalogue: Catalogue, parts: Sequence[Part], num_workers: int, listener: Listener) -> list[Prepared]:
    """Puts all parts into the cache, in the order of `parts`; parts that are there already cost their checksums.

    Finished parts stay whatever happens, so that an interrupted call is continued by the same call. The largest
    parts begin first: a part is tokenised by one process.
    """
    size = {part: _size(catalogue, part) for part in parts}
    order = sorted(dict.fromkeys(parts), key=lambda part: -size[part])
    done = _alone(catalogue, order, listener) if num_workers == 1 else _pooled(catalogue, order, num_workers, listener)
    return [done[part] for part in parts]


def _alone(catalogue: Catalogue, parts: Sequence[Part], listener: Listener) -> dict[Part, Prepared]:
    done = {}
    for part in parts:
        done[part] = _prepare(catalogue, part, listener.advance)
        listener.advance(part, done[part].num_tokenised % _ROWS_PER_REPORT)
        listener.finish(done[part])
    return done


def _pooled(catalogue: Catalogue, parts: Sequence[Part], num_workers: int, listener: Listener) -> dict[Part, Prepared]:
    others = mp.active_children()
    context = mp.get_context("spawn")
    reports: Any = context.Queue()
    with ProcessPoolExecutor(num_workers, context, _begin, (catalogue, reports, own_tasks())) as pool:
        try:
            return _collect({pool.submit(_work, part): part for part in parts}, reports, listener)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in mp.active_children():
                if worker not in others:
                    worker.terminate()
            raise


def _size(catalogue: Catalogue, part: Part) -> int:
    """Bytes to read; a missing file is found here, before any work."""
    files = catalogue.source(find_task(part.task), part.split, part.language).files
    return sum(path.stat().st_size for path in files)


def _collect(futures: dict[Future[Prepared], Part], reports: Any, listener: Listener) -> dict[Part, Prepared]:
    done: dict[Part, Prepared] = {}
    told: Counter[Part] = Counter()
    waiting = set(futures)
    while waiting:
        finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        try:
            while True:
                part, num_examples = reports.get_nowait()
                if part not in done:  # a report may come after the end of what it reports on
                    told[part] += num_examples
                    listener.advance(part, num_examples)
        except Empty:
            pass
        for future in finished:
            try:
                prepared = done[futures[future]] = future.result()
            except BrokenProcessPool:
                raise UserError("a worker process was killed, for want of memory perhaps; lower --workers") from None
            listener.advance(prepared.part, prepared.num_tokenised - told[prepared.part])
            listener.finish(prepared)
    return done


_catalogue: Catalogue
_reports: Any


def _begin(catalogue: Catalogue, reports: Any, own: Sequence[Task]) -> None:
    """Sets up a worker, which ends with its parent, however that ends; a new process knows no task of a file."""
    global _catalogue, _reports
    for task in own:
        register_own(task)
    _catalogue, _reports = catalogue, reports
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = mp.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(part: Part) -> Prepared:
    return _prepare(_catalogue, part, lambda *told: _reports.put(told))


def _prepare(catalogue: Catalogue, part: Part, advance: Callable[[Part, int], None]) -> Prepared:
    """Puts one part into the cache; whole reports only, the caller knows the rest."""
    begun = time.perf_counter()
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1
        if counted % _ROWS_PER_REPORT == 0:
            advance(part, _ROWS_PER_REPORT)

    features = catalogue.open(part, count)
    note = json.loads(features.path.with_suffix(".json").read_text(encoding="utf-8"))
    return Prepared(
        part,
        len(features),
        catalogue.official_size(part),
        features.skipped,
        note["contents"],
        counted,
        time.perf_counter() - begun,
    )
