"""Training only the embedding rows that occur, exactly as if all were trained.

A row that occurs in no micro-batch has a gradient of zero in every step, so its moments stay zero, it adds nothing to
the gradient's norm, and an update does nothing to it but decay: p <- p (1 - lr x weight_decay), for AdamW (Loshchilov
and Hutter, 2019) and for plain SGD alike. Those rows are left out of the model, and what they have become is worked out
from the product of these factors when someone asks. The idea of training a compact table and merging it back is that
of Williams and Aletras (2023), Vocabulary-level Memory Efficiency for Language Model Fine-tuning.

Shape suffixes: V pieces of the vocabulary, R rows trained, H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import XLMRobertaModel

EMBEDDINGS = "encoder.embeddings.word_embeddings.weight"
"""Name of the matrix in a `MultiTaskModel`, compact or whole."""


class CompactEmbedding(nn.Embedding):
    """Some rows of an embedding matrix, found by the ids of the whole one; another id is an index error."""

    def __init__(self, whole_VH: torch.Tensor, ids_R: torch.Tensor) -> None:
        super().__init__(len(ids_R), whole_VH.shape[1], _weight=whole_VH[ids_R])
        row_V = torch.full((len(whole_VH),), -1)
        row_V[ids_R] = torch.arange(len(ids_R))
        self.register_buffer("row_V", row_V, persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.row_V[input]
        return functional.embedding(rows, self.weight)


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
    """The whole matrix as it was when training began or went on; None where it is not wanted."""
    decay: float = 1.0
    """What the rows that are not trained have been multiplied by since."""

    @property
    def num_left_out(self) -> int:
        """Parameters that are not trained."""
        return (self.num_pieces - len(self.ids_R)) * self.width

    def updated(self, lr: float, weight_decay: float) -> None:
        """Takes note of a step that was taken."""
        self.decay *= 1 - lr * weight_decay

    def expand(self, rows_RH: torch.Tensor, *, moments: bool) -> torch.Tensor:
        """[V, H] in host memory: the whole matrix as it is now, or a moment of it."""
        if moments:
            whole_VH = torch.zeros(self.num_pieces, rows_RH.shape[1])
        else:
            assert self.start_VH is not None
            whole_VH = self.start_VH * self.decay
        return whole_VH.index_copy_(0, self.ids_R, rows_RH.to("cpu", whole_VH.dtype))

    def select(self, whole_VH: torch.Tensor) -> torch.Tensor:
        """[R, H] of the whole matrix, or of a moment of it."""
        return whole_VH.index_select(0, self.ids_R)


def train_rows_only(encoder: XLMRobertaModel, ids_R: torch.Tensor, *, keep_others: bool) -> TrainedRows:
    """Puts a compact table in the place of the encoder's; the ids that it is given stay those of the vocabulary.

    `keep_others`: whether this rank is to know the whole matrix.
    """
    whole_VH = encoder.get_input_embeddings().weight.detach()
    encoder.embeddings.word_embeddings = CompactEmbedding(whole_VH, ids_R)
    return TrainedRows(ids_R, *whole_VH.shape, start_VH=whole_VH if keep_others else None)
