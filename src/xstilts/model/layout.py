"""What attention is to know of a packed row, made on the host before the row is: all tokens, and those that are read.

Shape suffixes: S segments, L tokens of the row, T tokens read, Q queries of the last layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from xstilts.config.runtime import Attention
from xstilts.model.attention import Segmentation, cut_rectangles
from xstilts.model.varlen import Segments


@dataclass(frozen=True)
class Layout:
    """A packed row for all layers but the last, and for the last, which computes what is read alone."""

    everywhere: Segmentation
    """Every token is a query."""
    last: Segmentation
    """The tokens `queries_Q` are."""
    queries_Q: torch.Tensor
    """int64: tokens of the row that the last layer has queries of: those that are read, and others where each segment
    or row is to have one."""
    read_T: torch.Tensor | None
    """int64: the query of each token that is read; None: the first ones, in their order."""
    num_read: int

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Layout:
        """The same with each of its tensors moved."""
        read_T = None if self.read_T is None else move(self.read_T)
        return Layout(self.everywhere.moved(move), self.last.moved(move), move(self.queries_Q), read_T, self.num_read)

    def pick(self, hidden_QH: torch.Tensor) -> torch.Tensor:
        """What is read of the queries' output, [T, H]."""
        return hidden_QH[: self.num_read] if self.read_T is None else hidden_QH.index_select(0, self.read_T)


def segment(attention: Attention, lengths_S: Sequence[int]) -> Segmentation:
    """A packed row whose segments have these lengths, every token a query; on the host."""
    return cut_rectangles(lengths_S) if attention == "rectangles" else _segments(lengths_S)


def lay_out(attention: Attention, lengths_S: Sequence[int], positions_T: torch.Tensor) -> Layout:
    """A packed row of which these tokens, int64, maybe none, are read of the last layer; on the host."""
    if attention == "rectangles":
        rectangles = cut_rectangles(lengths_S)
        # A filler runs what others run: its first token is read, and given to no head.
        some_T = positions_T if len(positions_T) else torch.zeros(1, dtype=torch.int64)
        return Layout(rectangles, rectangles.reading(some_T), some_T, None, len(positions_T))
    return _lay_out_segments(lengths_S, positions_T.numpy())


def _segments(lengths_S: Sequence[int]) -> Segments:
    ends = torch.from_numpy(_ends(np.array(lengths_S)))
    return Segments(ends, ends, max(lengths_S), max(lengths_S))


def _lay_out_segments(lengths_S: Sequence[int], positions_T: np.ndarray) -> Layout:
    """Queries lie segment by segment, in order. Each has one at least, read or not: no kernel gets an empty one, and a
    filler runs what others run."""
    everywhere = _segments(lengths_S)
    starts_S = everywhere.ends_k[:-1].numpy()
    segment_T = np.searchsorted(starts_S, positions_T, side="right") - 1
    unread = np.bincount(segment_T, minlength=len(starts_S)) == 0
    queries = np.concatenate([positions_T, starts_S[unread]])
    order = np.argsort(queries, kind="stable")
    counts_S = np.bincount(np.searchsorted(starts_S, queries, side="right") - 1)
    last = Segments(torch.from_numpy(_ends(counts_S)), everywhere.ends_k, int(counts_S.max()), everywhere.longest_k)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    in_order = np.array_equal(place[: len(positions_T)], np.arange(len(positions_T)))
    read_T = None if in_order else torch.from_numpy(place[: len(positions_T)])
    return Layout(everywhere, last, torch.from_numpy(queries[order]), read_T, len(positions_T))


def _ends(counts_S: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], counts_S]).cumsum().astype(np.int32)
