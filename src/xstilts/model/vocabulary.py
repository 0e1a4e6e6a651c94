"""Training only the embedding rows that occur, exactly as if all were trained.

A row that occurs in no micro-batch has a gradient of zero in every step, so its moments stay zero, it adds nothing to
the gradient's norm, and an update does nothing to it but decay: p <- p (1 - lr x weight_decay), for AdamW (Loshchilov
and Hutter, 2019) and for plain SGD alike. Those rows are left out of the model, and what they have become is worked out
from the product of these factors when someone asks. The idea of training a compact table and merging it back is that
of Williams and Aletras (2023), Vocabulary-level Memory Efficiency for Language Model Fine-tuning.

Shape suffixes: V pieces of the vocabulary, R rows trained, H hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import XLMRobertaModel

EMBEDDINGS = "encoder.embeddings.word_embeddings.weight"
"""Name of the matrix in a `MultiTaskModel`, compact or whole."""


_ROWS = 8192
"""Of the whole matrix that are worked on at a time, so that it is not made anew."""


class CompactEmbedding(nn.Embedding):
    """Some rows of an embedding matrix, found by the ids of the whole one; another id is an index error."""

    row_V: torch.Tensor
    """int64: id -> row of the table; -1 where it has none."""

    def __init__(self, whole_VH: torch.Tensor, ids_R: torch.Tensor) -> None:
        super().__init__(len(ids_R), whole_VH.shape[1], _weight=whole_VH[ids_R])
        row_V = torch.full((len(whole_VH),), -1)
        row_V[ids_R] = torch.arange(len(ids_R))
        self.register_buffer("row_V", row_V, persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return functional.embedding(self.row_V[input], self.weight)


@dataclass
class TrainedRows:
    """The rows that a model trains, and what has become of the others."""

    ids_R: torch.Tensor
    """int64, ascending."""
    num_pieces: int
    """V."""
    width: int
    """H."""
    start_VH: torch.Tensor | None
    """The whole matrix as it was when the stage began; None where it is not wanted."""

    @property
    def num_left_out(self) -> int:
        """Parameters that are not trained."""
        return (self.num_pieces - len(self.ids_R)) * self.width

    def weights(self, rows_RH: torch.Tensor, decay: float) -> Iterator[torch.Tensor]:
        """The whole matrix as it is now, in host memory and in parts [rows, H] from the first row on, `decay` being the
        product over the updates so far."""
        assert self.start_VH is not None
        return self._parts((part * decay for part in self.start_VH.split(_ROWS)), rows_RH)

    def moments(self, rows_RH: torch.Tensor) -> Iterator[torch.Tensor]:
        """A moment of the whole matrix, in the same way."""
        sizes = [min(_ROWS, self.num_pieces - first) for first in range(0, self.num_pieces, _ROWS)]
        return self._parts((torch.zeros(size, self.width) for size in sizes), rows_RH)

    def go_on(self, start_VH: torch.Tensor, decay: float) -> None:
        """After resuming, `start_VH` being the matrix that the stage began with and this object's own the saved one.

        What is not trained is then the same to the bit as without the interruption. Where the saved rows do not come
        from that matrix (the stage before was trained again), they are what counts.
        """
        assert self.start_VH is not None
        saved_VH = self.start_VH
        others_V = torch.ones(self.num_pieces, dtype=torch.bool)
        others_V[self.ids_R] = False
        parts = zip(start_VH.split(_ROWS), saved_VH.split(_ROWS), others_V.split(_ROWS), strict=True)
        close = all(torch.allclose(a[of] * decay, b[of], rtol=1e-5, atol=1e-6) for a, b, of in parts)
        self.start_VH = start_VH if close else saved_VH / decay

    def _parts(self, others: Iterable[torch.Tensor], rows_RH: torch.Tensor) -> Iterator[torch.Tensor]:
        first = 0
        for part in others:
            low, high = torch.searchsorted(self.ids_R, torch.tensor([first, first + len(part)])).tolist()
            yield part.index_copy_(0, self.ids_R[low:high] - first, rows_RH[low:high].to("cpu", part.dtype))
            first += len(part)

    def select(self, whole_VH: torch.Tensor) -> torch.Tensor:
        """[R, H] of the whole matrix, or of a moment of it."""
        return whole_VH.index_select(0, self.ids_R)


def train_rows_only(encoder: XLMRobertaModel, ids_R: torch.Tensor, *, keep_others: bool) -> TrainedRows:
    """Puts a compact table in the place of the encoder's; the ids that it is given stay those of the vocabulary.

    `keep_others`: whether this rank is to know the whole matrix.
    """
    whole_VH = encoder.get_input_embeddings().weight.detach()
    encoder.embeddings.word_embeddings = CompactEmbedding(whole_VH, ids_R)
    num_pieces, width = whole_VH.shape
    return TrainedRows(ids_R, num_pieces, width, whole_VH if keep_others else None)
