"""What every layer of an encoder makes of texts, for measuring and not for training.

Shape suffixes: K hidden states (the embeddings, then each layer), S segments, L tokens of the row, H hidden size.
"""

from __future__ import annotations

import torch

from xstilts.data.batch import PackedBatch
from xstilts.model.layout import segment
from xstilts.model.multitask import MultiTaskModel, embed, to_device


@torch.no_grad()
def layer_means(model: MultiTaskModel, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Each segment's mean over its tokens in every hidden state, float32 [K, S, H], and the last state, [L, H].

    The model is in evaluation mode and on the device of the batch.
    """
    hidden_1LH = embed(model.encoder, batch)
    segmentation = segment(model.attention, batch.lengths_S).moved(to_device(hidden_1LH.device))
    lengths_S = torch.tensor(batch.lengths_S, device=hidden_1LH.device)
    means = [torch.segment_reduce(hidden_1LH[0].float(), "mean", lengths=lengths_S)]
    for layer in model.encoder.encoder.layer:
        hidden_1LH = layer(hidden_1LH, segmentation=segmentation)
        means.append(torch.segment_reduce(hidden_1LH[0].float(), "mean", lengths=lengths_S))
    return torch.stack(means), hidden_1LH[0]
