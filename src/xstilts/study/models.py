"""The model at the start and at the end of a stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import XLMRobertaModel

from xstilts.config.recipe import Model
from xstilts.config.runtime import Attention
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue
from xstilts.evaluation.predictor import Forward
from xstilts.model.adapters import add_adapters
from xstilts.model.encoder import load_encoder, new_encoder, pretrained_encoder
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.model.onednn import use_onednn
from xstilts.study.graph import Stage
from xstilts.study.provenance import Parameters
from xstilts.study.record import WEIGHTS, Record, read_record
from xstilts.study.workspace import Workspace
from xstilts.tasks import find_task
from xstilts.text.tokenizer import Tokenizer

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Models:
    """Builds models from what a workspace holds."""

    def __init__(self, model: Model, workspace: Workspace, catalogue: Catalogue) -> None:
        self._model = model
        self._workspace = workspace
        self._catalogue = catalogue

    def start(self, stage: Stage) -> MultiTaskModel:
        """The parent's encoder, frozen where the stage does not train it, with new heads and, if it has any, new
        adapters; but not a new masked-language-model head, being part of what was pretrained, nor the head that the
        stage goes on with."""
        if stage.parent:
            folder = self._workspace.stage(stage.parent.id)
            record = read_record(folder)
            encoder, heads = load_encoder(record.encoder, folder / WEIGHTS, self._catalogue.tokenizer, record.weights)
            carried: Mapping[str, torch.Tensor] = _mlm_head(heads)
        else:
            heads = {}
            encoder, carried = self._origin()
        trainable = stage.config.trainable
        encoder.requires_grad_(trainable.encoder == "all")
        if trainable.bottleneck is not None:
            add_adapters(encoder, trainable.bottleneck, stage.randomness)
        specs = self._heads(stage.config.tasks)
        model = MultiTaskModel(encoder, specs, seed=stage.randomness, orthogonal=trainable.orthogonal)
        for name, spec in specs.items():
            if spec.kind.ties_embeddings and carried:
                assert {*carried, "decoder.weight"} == model.heads[name].state_dict().keys()
                model.heads[name].load_state_dict(carried, strict=False)
        if stage.continues:
            (name,) = specs
            model.heads[name].load_state_dict(_head(heads, stage.continues))
        return model

    def end(self, stage: Stage | None, head_of: Stage | None = None) -> MultiTaskModel:
        """The trained weights with their heads, or with those of a stage before; without a stage the recipe's model
        itself, without heads."""
        if stage is None:
            return MultiTaskModel(self._origin()[0], {}, seed=0)
        model = self._trained(stage)
        if head_of is not None:
            model.heads = self._trained(head_of).heads
        return model

    def _trained(self, stage: Stage) -> MultiTaskModel:
        folder = self._workspace.stage(stage.id)
        return load_trained(folder, read_record(folder), self._catalogue.tokenizer)

    def _heads(self, tasks: Iterable[str]) -> dict[str, HeadSpec]:
        return {
            task.name: HeadSpec(task.kind, len(self._catalogue.labels(task) or ())) for task in map(find_task, tasks)
        }

    def _origin(self) -> tuple[XLMRobertaModel, Mapping[str, torch.Tensor]]:
        """The recipe's encoder, and the tensors of the masked-language-model head released with it."""
        if self._model.pretrained is None:
            return new_encoder(self._model, self._catalogue.tokenizer, seed=0), {}
        return pretrained_encoder(self._model, self._catalogue.tokenizer)


def load_trained(
    folder: Path, record: Record, tokenizer: Tokenizer, kept: Path | None = None, digest: str | None = None
) -> MultiTaskModel:
    """A finished stage's model; every tensor of its file finds its place and every parameter its tensor.

    `kept` is another file of weights of that stage, with this digest.
    """
    path = kept or folder / WEIGHTS
    encoder, heads = load_encoder(record.encoder, path, tokenizer, digest if kept else record.weights)
    specs = {name: HeadSpec(find_task(name).kind, len(record.labels[name] or ())) for name in record.tasks}
    model = MultiTaskModel(encoder, specs, seed=0)
    shapes = {name: parameter.shape for name, parameter in model.named_parameters() if name.startswith("heads.")}
    if odd := sorted(shapes.items() ^ {name: tensor.shape for name, tensor in heads.items()}.items()):
        raise UserError.at(
            path, odd[0][0], "is not what stage.json describes", "remove the stage's folder and train it again"
        )
    model.load_state_dict(heads, strict=False)
    return model


def count_parameters(model: MultiTaskModel) -> Parameters:
    """Numbers of trained values; a matrix that a head shares with the embeddings counts as theirs."""
    tied = model.encoder.get_input_embeddings().weight
    embeddings = _size(model.encoder.embeddings.parameters())
    heads = {name: _size(p for p in head.parameters() if p is not tied) for name, head in model.heads.items()}
    return Parameters(encoder=_size(model.encoder.parameters()) - embeddings, embeddings=embeddings, heads=heads)


def _size(parameters: Iterable[torch.nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _mlm_head(heads: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The bare tensors of a stage's masked-language-model head; empty if it had none."""
    names = {name.split(".")[1] for name in heads}
    trained = next((name for name in sorted(names) if find_task(name).kind.ties_embeddings), None)
    return _head(heads, trained) if trained else {}


def _head(heads: Mapping[str, torch.Tensor], task: str) -> dict[str, torch.Tensor]:
    """The bare tensors of a task's head."""
    prefix = f"heads.{task}."
    return {name.removeprefix(prefix): tensor for name, tensor in heads.items() if name.startswith(prefix)}


def inference(
    model: MultiTaskModel, precision: str, device: torch.device, attention: Attention = "rectangles"
) -> Forward:
    """The model as a function without dropout or gradients, whole on every rank; its heads compute in fp32."""
    model = model.to(device, _DTYPES[precision]).eval()
    model.attention = attention
    if precision == "fp32" and device.type == "cpu":
        use_onednn(model.encoder)

    @torch.no_grad()
    def forward(batch: Any, purpose: str) -> Any:
        return model(batch.to(device), purpose)

    return forward
