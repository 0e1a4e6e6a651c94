"""The model at the start and at the end of a stage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import XLMRobertaModel

from xstilts.config.recipe import Model
from xstilts.data.catalogue import Catalogue
from xstilts.errors import UserError
from xstilts.evaluation.forward import Forward
from xstilts.model.encoder import load_encoder, new_encoder, pretrained_encoder
from xstilts.model.multitask import HeadSpec, MultiTaskModel
from xstilts.study.graph import Stage
from xstilts.study.workspace import Workspace
from xstilts.tasks import Kind, find_task

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Models:
    """Builds models from what a workspace holds."""

    def __init__(self, model: Model, workspace: Workspace, catalogue: Catalogue) -> None:
        self._model = model
        self._workspace = workspace
        self._catalogue = catalogue

    def start(self, stage: Stage) -> MultiTaskModel:
        """The parent's encoder with new heads; only a masked-language-model head is carried on, being part of what
        was pretrained."""
        encoder, heads = self._origin(stage.parent)
        carried = _mlm_head(heads) if stage.parent else heads
        model = self._with_heads(encoder, stage.config.tasks, stage.randomness)
        for name in stage.config.tasks:
            if find_task(name).kind is Kind.MLM:
                model.heads[name].load_state_dict(carried, strict=False)
        return model

    def end(self, stage: Stage | None) -> MultiTaskModel:
        """The trained weights with their heads; without a stage the recipe's model itself, without heads."""
        if stage is None:
            return self._with_heads(self._origin(None)[0], (), 0)
        encoder, heads = self._origin(stage)
        model = self._with_heads(encoder, stage.config.tasks, stage.randomness)
        lacking = sorted({n for n, _ in model.named_parameters() if n.startswith("heads.")} - heads.keys())
        if lacking:
            path = self._workspace.stage(stage.id) / "weights.safetensors"
            raise UserError.at(path, lacking[0], "is missing", "remove the stage's folder and launch again")
        model.load_state_dict(heads, strict=False)
        return model

    def _origin(self, stage: Stage | None) -> tuple[XLMRobertaModel, Mapping[str, torch.Tensor]]:
        """An encoder and the tensors beside it: a stage's heads by their names in the model, or the bare tensors of a
        released masked-language-model head."""
        if stage is not None:
            folder = self._workspace.stage(stage.id)
            return load_encoder(read_record(folder)["encoder"], folder / "weights.safetensors", self._catalogue.tokenizer)
        if self._model.pretrained is None:
            return new_encoder(self._model, self._catalogue.tokenizer, seed=0), {}
        return pretrained_encoder(self._model, self._catalogue.tokenizer)

    def _with_heads(self, encoder: XLMRobertaModel, names: Sequence[str], seed: int) -> MultiTaskModel:
        specs = {t.name: HeadSpec(t.kind, len(self._catalogue.labels(t) or ())) for t in map(find_task, names)}
        return MultiTaskModel(encoder, specs, seed=seed)


def _mlm_head(heads: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The bare tensors of a stage's masked-language-model head; empty if it had none."""
    names = {name.split(".")[1] for name in heads}
    trained = next((name for name in sorted(names) if find_task(name).kind is Kind.MLM), None)
    prefix = f"heads.{trained}."
    return {name.removeprefix(prefix): tensor for name, tensor in heads.items() if name.startswith(prefix)}


def read_record(folder: Path) -> dict[str, Any]:
    """What a finished stage says of itself."""
    record: dict[str, Any] = json.loads((folder / "stage.json").read_text(encoding="utf-8"))
    return record


def inference(model: MultiTaskModel, precision: str, device: torch.device) -> Forward:
    """The model as a function without dropout or gradients, whole on every rank."""
    model = model.to(device, _DTYPES[precision]).eval()

    @torch.no_grad()
    def forward(batch: Any, purpose: str) -> Any:
        return model(batch.to(device), purpose)

    return forward
