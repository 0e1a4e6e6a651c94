"""One encoder, many heads: every head runs in every micro-batch, in one order, on every rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import XLMRobertaModel

from xstilts.config.runtime import Attention
from xstilts.core.seeds import derive_seed
from xstilts.data.batch import PackedBatch
from xstilts.kinds import Kind
from xstilts.model.adapters import overlap
from xstilts.model.dropout import use_cheap_masks
from xstilts.model.head import Head
from xstilts.model.last_layer import read_some
from xstilts.model.layout import Layout, lay_out, segment


@dataclass(frozen=True)
class HeadSpec:
    """What a head is built from."""

    kind: Kind[Any]
    num_classes: int = 0
    """Size of the label set; 0 for kinds without one."""


class MultiTaskModel(nn.Module):
    """XLM-R over packed rows with one head per task of the stage."""

    def __init__(
        self, encoder: XLMRobertaModel, heads: Mapping[str, HeadSpec], *, seed: int, orthogonal: float = 0.0
    ) -> None:
        """Heads are initialised from (seed, task, parameter) alone: the same in every arm, whatever else was drawn.

        `orthogonal`: weight in the loss of the newest adapters' overlap with the encoder.
        """
        super().__init__()
        self._orthogonal = orthogonal
        self.attention: Attention = "rectangles"
        """How attention is computed, in every use."""
        self.encoder = encoder
        config = encoder.config
        self.heads = nn.ModuleDict()
        for name, spec in heads.items():
            self.heads[name] = Head(spec.kind, config, spec.num_classes, encoder.get_input_embeddings())
        use_cheap_masks(self)
        read_some(encoder)
        for name, parameter in self.heads.named_parameters():
            if parameter is encoder.get_input_embeddings().weight:
                continue
            _initialise(parameter, name, derive_seed(seed, "head", name), config.initializer_range)

    @property
    def num_parts(self) -> int:
        """What the loss is made of: one part per task, and the overlap of adapters where it counts."""
        return len(self.heads) + bool(self._orthogonal)

    def forward(self, batch: PackedBatch, purpose: str = "loss") -> Any:
        """One entrance for every use, so that partitioned parameters are gathered in each.

        `loss`: the micro-batch's part of the step's loss; and float32 [num_parts + targets], detached: that part by
        task and behind the tasks that of the adapters' overlap, where it counts, then the loss of every target, head by
        head.
        `logits`: each head's logits by task, in the shape of its kind.
        `embeddings`: mean over each segment's tokens of a middle layer, float32 [S, H].
        """
        if purpose == "embeddings":
            return self._embed(batch)
        given = {name: batch.heads[name] for name in self.heads}
        read = self._encode(batch).split([len(each.positions_T) for each in given.values()])
        logits = {name: self.heads[name](hidden_TH, given[name]) for name, hidden_TH in zip(given, read, strict=True)}
        if purpose == "logits":
            return logits
        assert purpose == "loss"
        parts, of_targets = [], []
        for name, head in self.heads.items():
            assert isinstance(head, Head)
            losses = head.losses(logits[name], given[name])
            of_targets.append(losses.detach())
            weights = given[name].weights
            # An empty head's part is a sum over nothing that still reaches every one of its parameters.
            parts.append((losses * weights).sum() if len(weights) else losses.sum())
        if self._orthogonal:
            parts.append(self._orthogonal * (overlap(self.encoder) * batch.weights_L).sum())
        parts_by_task = torch.stack(parts)
        return parts_by_task.sum(), torch.cat([parts_by_task.detach(), *of_targets])

    def compile_layers(self, backend: str | Callable[..., Any] = "inductor") -> None:
        """Compiles every layer but the last at its first use, once for whatever numbers of tokens and for all layers.

        Of the last the number of queries is often one, which would be compiled apart.
        """
        import torch._dynamo  # takes a second

        # With adapters a layer leaves their overlap behind, which recomputing it need not do again.
        torch._dynamo.config.skip_fwd_side_effects_in_bwd_under_checkpoint = True
        for layer in self.encoder.encoder.layer[:-1]:
            layer.compile(dynamic=True, fullgraph=True, backend=backend)

    def _embed(self, batch: PackedBatch) -> torch.Tensor:
        """Sentence embeddings for retrieval: hidden state 14 of 24, the same depth in a smaller model, mean over all
        tokens of the segment with specials (XTREME's script and jiant; Hu et al. 2020). Later layers are not run."""
        num_layers = middle_layer(self.encoder.config.num_hidden_layers)
        hidden_1LH = embed(self.encoder, batch)
        segmentation = segment(self.attention, batch.lengths_S).moved(to_device(hidden_1LH.device))
        for layer in self.encoder.encoder.layer[:num_layers]:
            hidden_1LH = layer(hidden_1LH, segmentation=segmentation)
        lengths_S = torch.tensor(batch.lengths_S, device=hidden_1LH.device)
        return torch.segment_reduce(hidden_1LH[0].float(), "mean", lengths=lengths_S)

    def _encode(self, batch: PackedBatch) -> torch.Tensor:
        """What heads read of the encoder's output, [T, H], head after head. Of the last layer no more is computed, but
        for adapters whose overlap counts at every token."""
        hidden_1LH = embed(self.encoder, batch)
        layout = batch.layout or self.lay_out(batch).moved(to_device(hidden_1LH.device))
        assert isinstance(layout, Layout)
        *layers, last = self.encoder.encoder.layer
        for layer in layers:
            hidden_1LH = layer(hidden_1LH, segmentation=layout.everywhere)
        if self._orthogonal:
            hidden_1LH = last(hidden_1LH, segmentation=layout.everywhere)
            return layout.pick(hidden_1LH[0].index_select(0, layout.queries_Q))
        return layout.pick(last(hidden_1LH, segmentation=layout.last, read_T=layout.queries_Q)[0])

    def lay_out(self, batch: PackedBatch) -> Layout:
        """What attention is to know of a batch for `loss` and `logits`, on the host. A batch may bring it along, made
        while others are computed."""
        positions = (batch.heads[name].positions_T for name in self.heads)
        return lay_out(self.attention, batch.lengths_S, torch.cat([torch.empty(0, dtype=torch.int64), *positions]))


def middle_layer(num_layers: int) -> int:
    """The hidden state that sentence embeddings are taken from: 14 of 24, or at the same depth; 0 is the embeddings."""
    return round(14 / 24 * num_layers)


def to_device(device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """Takes tensors there; from pinned memory without waiting."""
    return lambda tensor: tensor.to(device, non_blocking=True)


def embed(encoder: XLMRobertaModel, batch: PackedBatch) -> torch.Tensor:
    """The embeddings of a batch's tokens, [1, L, H]: what the first layer is given."""
    embedded: torch.Tensor = encoder.embeddings(
        input_ids=batch.tokens_L.unsqueeze(0), position_ids=batch.positions_L.unsqueeze(0)
    )
    return embedded


def _initialise(parameter: nn.Parameter, name: str, seed: int, spread: float) -> None:
    """RoBERTa's initialisation: matrices N(0, spread), biases 0, LayerNorm 1 and 0."""
    with torch.no_grad():
        if parameter.ndim >= 2:
            parameter.normal_(0.0, spread, generator=torch.Generator().manual_seed(seed))
        elif name.endswith("norm.weight"):
            parameter.fill_(1.0)
        else:
            parameter.zero_()
