"""DeepSpeed, behind the few operations that the trainer needs.

Everything that reaches into DeepSpeed's ZeRO internals is in this module and in `state`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import deepspeed
import torch

from xstilts.cluster import dist
from xstilts.config.training import Training
from xstilts.data.batch import PackedBatch
from xstilts.model.multitask import MultiTaskModel
from xstilts.training.optimizer import make_optimizer


class Engine:
    """A model under ZeRO: forward and backward any number of times, then one step."""

    def __init__(self, model: MultiTaskModel, training: Training, deepspeed_json: Mapping[str, Any]) -> None:
        """`deepspeed_json` is a checked DeepSpeed configuration; what the recipe owns is filled in here."""
        config = {
            **deepspeed_json,
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            # We call step() when the global batch is through; the number of backwards before it varies.
            "managed_gradient_accumulation": False,
            "gradient_clipping": training.max_grad_norm,
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 10**9,
        }
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        self.stage = int(config.get("zero_optimization", {}).get("stage", 0))
        self.deepspeed, *_ = deepspeed.initialize(model=model, optimizer=make_optimizer(model, training), config=config)
        self.model = model
        self.device = dist.device()

    def backward(self, batch: PackedBatch, dropout_seed: int) -> torch.Tensor:
        """Adds a micro-batch's gradient; returns its part of the step's loss by task, float32 [tasks].

        Dropout comes from the seed alone. DeepSpeed averages gradients over ranks, so the loss, a part of a sum, is
        multiplied by their number.
        """
        self.deepspeed.train()
        torch.manual_seed(dropout_seed)
        loss, parts = self.deepspeed(batch.to(self.device))
        self.deepspeed.backward(loss * dist.world_size(), scale_wrt_gas=False)
        return parts

    def step(self, lr: float) -> None:
        """One optimizer step with what backward has added up since the last."""
        for group in self.deepspeed.optimizer.param_groups:
            group["lr"] = lr
        self.deepspeed.step()

    def drop_gradients(self) -> None:
        """Forgets what backward has added up, without a step."""
        self.deepspeed.optimizer.zero_grad()
        self.deepspeed.zero_grad()

    @property
    def grad_norm(self) -> float | None:
        """Global norm of the last step's gradient before clipping; None at stage 0, where DeepSpeed does not keep it."""
        norm = self.deepspeed.get_global_grad_norm()
        return None if norm is None else float(norm)

    @torch.no_grad()
    def evaluate(self, batch: PackedBatch, purpose: str) -> Any:
        """The model's output without dropout; a collective under ZeRO-3, so every rank must call it equally often."""
        self.deepspeed.eval()
        return self.deepspeed.module(batch.to(self.device), purpose=purpose)

    def close(self) -> None:
        """Frees the engine's buffers and hooks so that the next stage can build its own."""
        self.deepspeed.destroy()
