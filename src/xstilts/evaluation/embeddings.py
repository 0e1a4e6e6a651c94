"""Embeddings of retrieval works: a pool of candidates is encoded once for all languages and held once, on rank 0.

Mewsli-X has a million candidates for each of 11 languages, the same ones; with 1,024 numbers each they are 4 GB.

Shape suffixes: P examples of the pool, N a work's others, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as torch_dist

from xstilts.data.store import FeatureSet
from xstilts.distributed import dist, heartbeat

_ROWS = 1 << 16


@dataclass(frozen=True)
class Embeddings:
    """float32 vectors of a work's examples; works may share the arrays."""

    pool_PH: np.ndarray
    """Of the examples that come first."""
    own_NH: np.ndarray

    def __len__(self) -> int:
        return len(self.pool_PH) + len(self.own_NH)

    def take(self, rows: Sequence[int]) -> np.ndarray:
        """[rows, H]: a view of a run within the pool or behind it, which may be the whole pool; of others a copy."""
        if isinstance(rows, range) and rows and rows.step == 1:
            for part, first in ((self.pool_PH, 0), (self.own_NH, len(self.pool_PH))):
                if first <= rows.start and rows.stop <= first + len(part):
                    return part[rows.start - first : rows.stop - first]
        index = np.asarray(rows, dtype=np.int64)
        pooled = index < len(self.pool_PH)
        taken = np.empty((len(index), self.pool_PH.shape[1]), dtype=np.float32)
        taken[pooled] = self.pool_PH[index[pooled]]
        taken[~pooled] = self.own_NH[index[~pooled] - len(self.pool_PH)]
        return taken


def num_alike(one: FeatureSet, other: FeatureSet) -> int:
    """How many examples at the start of both have the same tokens: the candidates, where languages share a pool."""
    limit = min(len(one), len(other))
    for start in range(0, limit, _ROWS):
        lengths = one.num_tokens[start : min(start + _ROWS, limit)]
        longer = np.flatnonzero(lengths != other.num_tokens[start : start + len(lengths)])
        num_rows = int(longer[0]) if len(longer) else len(lengths)
        tokens, others = (_tokens(features, start, num_rows) for features in (one, other))
        unlike = np.flatnonzero(tokens != others)
        if len(unlike):
            return start + int(np.searchsorted(np.cumsum(lengths), unlike[0], side="right"))
        if num_rows < len(lengths):
            return start + num_rows
    return limit


def to_first_rank(own: Sequence[torch.Tensor], shapes: Sequence[Sequence[tuple[int, ...]]]) -> Iterator[torch.Tensor]:
    """Every rank's float32 tensors, rank after rank, on rank 0; nothing on the others. A collective, to be exhausted.

    `shapes`: those of every rank's tensors.
    """
    if dist.world_size() > 1:
        # The default group may be NCCL's, which sends nothing from host memory.
        group = torch_dist.new_group(backend="gloo")
    if dist.rank() == 0:
        yield from own
        for rank, of_rank in enumerate(shapes[1:], start=1):
            for shape in of_rank:
                heartbeat.progress()
                received = torch.empty(shape)
                torch_dist.recv(received, src=rank, group=group)
                yield received
    else:
        for tensor in own:
            torch_dist.send(tensor.contiguous(), dst=0, group=group)
            heartbeat.progress()
    if dist.world_size() > 1:
        dist.barrier()
        torch_dist.destroy_process_group(group)


def _tokens(features: FeatureSet, start: int, num_rows: int) -> np.ndarray:
    """The tokens of these rows, one after the other."""
    column = features.table.column("tokens").slice(start, num_rows)
    return np.concatenate([np.empty(0, np.int32), *(chunk.flatten().to_numpy() for chunk in column.chunks)])
