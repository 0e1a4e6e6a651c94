"""From a checkpoint to an engine that goes on where the saved one stood, at any world size and ZeRO stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from xstilts.config.training import Training
from xstilts.model.multitask import MultiTaskModel
from xstilts.model.vocabulary import EMBEDDINGS
from xstilts.training.checkpoint import state
from xstilts.training.checkpoint.format import Progress, open_tensors
from xstilts.training.engine import Engine


def restore(
    path: Path,
    progress: Progress,
    model: MultiTaskModel,
    training: Training,
    deepspeed_json: Mapping[str, Any],
    piece_ids: torch.Tensor | None = None,
) -> Engine:
    """An engine over `model`, given as its stage began, in the state of the verified checkpoint `path`; a collective.

    Saved master weights go into the module before DeepSpeed takes it, so that it derives its working copies from them.
    What is frozen is not saved: it stays as the model is given.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    tensors = open_tensors(path, {name: tuple(parameter.shape) for name, parameter in trained.items()})
    for name, parameter in trained.items():
        if name == EMBEDDINGS and piece_ids is not None:
            begun_VH = parameter.data
        parameter.data = tensors[f"{state.MASTER}/{name}"]()
    engine = Engine(model, training, deepspeed_json, piece_ids)
    engine.decay = progress.decay
    if engine.rows and engine.rows.start_VH is not None:
        engine.rows.go_on(begun_VH, progress.decay)
    state.write(engine, progress.updates, lambda parameter, key: tensors[f"{key}/{parameter}"]())
    state.set_loss_scaling(engine, progress.loss_scaling)
    return engine
