"""DeepSpeed, behind the few operations that the trainer needs.

Everything that reaches into DeepSpeed's ZeRO internals is in this module and in `state`.
"""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any, Literal

import deepspeed
import torch
from deepspeed.accelerator import get_accelerator
from deepspeed.runtime.zero.stage_1_and_2 import INITIAL_MICRO_STEP_ID, DeepSpeedZeroOptimizer

from xstilts.config.training import Training
from xstilts.data.batch import PackedBatch
from xstilts.distributed import dist
from xstilts.model.cpu_layer import use_cpu_layers
from xstilts.model.multitask import MultiTaskModel
from xstilts.model.vocabulary import TrainedRows, train_rows_only
from xstilts.training.host_memory import give_pages_back, keep_freed_pages, trim_heap
from xstilts.training.host_update import HostUpdate
from xstilts.training.optimizer import make_optimizer, parameter_groups
from xstilts.training.own_parameters import make_own, precision

_LINEAR = torch.nn.functional.linear


def deepspeed_config(training: Training, deepspeed_json: Mapping[str, Any]) -> dict[str, Any]:
    """What DeepSpeed is given: a checked configuration, with what the recipe and the trainer own filled in."""
    stage = deepspeed_json.get("zero_optimization", {}).get("stage", 0)
    return {
        **deepspeed_json,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        # We call step() when the global batch is through; the number of backwards before it varies.
        "managed_gradient_accumulation": False,
        # Stage 0 clips by itself: DeepSpeed would put a gradient that is not finite into the weights there.
        "gradient_clipping": training.max_grad_norm if stage else 0.0,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }


class Engine:
    """A model under ZeRO: forward and backward any number of times, then one step."""

    def __init__(
        self,
        model: MultiTaskModel,
        training: Training,
        deepspeed_json: Mapping[str, Any],
        piece_ids: torch.Tensor | None = None,
    ) -> None:
        """`deepspeed_json` is a checked DeepSpeed configuration; what the recipe owns is filled in here.

        `piece_ids`: all that the engine will ever be given, ascending; the embeddings of others are not trained, and no
        head may be tied to them. Rank 0 alone knows the whole matrix then. None: any may occur.
        """
        trim_heap()
        self.stage = int(deepspeed_json.get("zero_optimization", {}).get("stage", 0))
        config = deepspeed_config(training, deepspeed_json)
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        self.rows: TrainedRows | None = None
        if piece_ids is not None:
            self.rows = train_rows_only(model.encoder, piece_ids, keep_others=dist.rank() == 0)
        self.trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        """Parameter by name; checkpoints hold these."""
        frozen = {name: parameter for name, parameter in model.named_parameters() if not parameter.requires_grad}
        self.num_frozen = sum(parameter.numel() for parameter in frozen.values())
        """Values that are not trained, but for rows of the vocabulary."""
        self.frozen = {name: p.detach().cpu() for name, p in frozen.items()} if dist.rank() == 0 else {}
        """What is not trained as it was given, in host memory, on rank 0: DeepSpeed rounds its own to the precision. Of
        weights from a file it is a view."""
        self.device = dist.device()
        self._host: HostUpdate | None = None
        """Who adds gradients up over the ranks and updates; None: DeepSpeed."""
        # In bf16 it prints tables of memory, a dozen lines a stage, on every rank and past its logger.
        with redirect_stdout(StringIO()):
            groups = parameter_groups(model, training)
            make_own(model, config, divide=self.stage == 3)
            if self.stage == 0 and self.device.type == "cpu" and precision(config) == torch.float32:
                self._host = HostUpdate.of(groups, training)
            optimizer = self._host.optimizer if self._host else make_optimizer(groups, training)
            self.deepspeed, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
        self.deepspeed.train()
        self.model = model
        if self.stage < 3 and self.device.type == "cpu":
            use_cpu_layers(model.encoder)
        if self._host:
            self.deepspeed.enable_backward_allreduce = False
        elif self.stage == 0:
            self.deepspeed.optimizer.register_step_pre_hook(lambda *_: self._clip())
        if self.stage == 0 and self.device.type == "cpu":
            keep_freed_pages()
        self._weight_decay = training.weight_decay
        self._max_grad_norm = training.max_grad_norm
        self._grad_norm = 0.0
        self.decay = 1.0
        """Product over the stage's updates of what weight decay multiplies a parameter without gradients by."""

    def finish(self, batch: PackedBatch) -> PackedBatch:
        """What is left to do for a batch on the host, so that `backward` gets it to the device without waiting."""
        batch = replace(batch, layout=self.model.lay_out(batch))
        return batch.pin_memory() if self.device.type == "cuda" else batch

    def backward(self, batch: PackedBatch, dropout_seed: int) -> torch.Tensor:
        """Adds a micro-batch's gradient; returns its part of the step's loss by task and the loss of every target, as
        the model gives them, float32 [tasks + targets].

        Dropout comes from the seed alone. Where DeepSpeed averages gradients over ranks the loss, a part of a sum, is
        multiplied by their number.
        """
        if not self.model.training:
            self.deepspeed.train()
        self._seed(dropout_seed)
        loss, losses = self.deepspeed(batch.to(self.device))
        num_averaged = dist.world_size() if self._host is None else 1
        self.deepspeed.backward(loss * num_averaged, scale_wrt_gas=False)
        return losses

    def _seed(self, seed: int) -> None:
        """Of the device and the host alone: `torch.manual_seed` takes 2 ms to note who asked for the other kinds."""
        torch.default_generator.manual_seed(seed)
        if self.device.type != "cpu":
            get_accelerator().manual_seed(seed)

    def step(self, lr: float) -> bool:
        """One optimizer step with what backward has added up since the last.

        Returns whether it was taken, the same on every rank: with a gradient that is not finite, nothing is changed.
        """
        for group in self.deepspeed.optimizer.param_groups:
            group["lr"] = lr
        self.deepspeed.step()
        if self._host:
            self._grad_norm = self._host.grad_norm
        elif self.stage:
            self._grad_norm = float(self.deepspeed.get_global_grad_norm())
        taken = math.isfinite(self._grad_norm)
        if taken:
            self.decay *= 1 - lr * self._weight_decay
        if not taken:
            # DeepSpeed 0.19.8 keeps them in bf16 with the optimizer offloaded: no later step would be taken either.
            self.drop_gradients()
        return taken

    @property
    def searches_loss_scale(self) -> bool:
        """Whether steps are refused in the ordinary course of things: fp16 with dynamic loss scaling."""
        return bool(self.deepspeed.fp16_enabled() and self.deepspeed.dynamic_loss_scale())

    def drop_gradients(self) -> None:
        """Forgets what backward has added up, without a step."""
        optimizer = self.deepspeed.optimizer
        optimizer.zero_grad()
        self.deepspeed.zero_grad()
        if isinstance(optimizer, DeepSpeedZeroOptimizer):
            # Stages 1 and 2 add up beside the parameters, where zero_grad does not reach; step() frees the same.
            for group in range(len(optimizer.bit16_groups)):
                optimizer.averaged_gradients[group] = None
                optimizer.all_grad_tensors[group] = None
            optimizer.micro_step_id = INITIAL_MICRO_STEP_ID
            optimizer._release_ipg_buffers()

    @property
    def grad_norm(self) -> float:
        """Global norm of the last step's gradient before clipping; infinite where the step was not taken."""
        return self._grad_norm

    def _clip(self) -> None:
        """Stage 0, between the reduction and the update: a parameter without a gradient is left as it is."""
        gradients = [parameter.grad for parameter in self.model.parameters() if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self._grad_norm = float(norm) if torch.isfinite(norm) else math.inf
        if self._grad_norm == math.inf:
            self.deepspeed.zero_grad()
        elif self._max_grad_norm:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), self._max_grad_norm, norm)

    @torch.no_grad()
    def evaluate(self, batch: PackedBatch, purpose: str) -> Any:
        """The model's output without dropout; a collective under ZeRO-3, so every rank must call it equally often."""
        self.deepspeed.eval()
        return self.deepspeed.module(batch.to(self.device), purpose=purpose)

    @property
    def depth(self) -> Literal["encoder", "adapters", "heads"]:
        """How far back something is trained."""
        if not self.num_frozen:
            return "encoder"
        return "adapters" if any(name.startswith("encoder.") for name in self.trained) else "heads"

    @property
    def bytes_per_parameter(self) -> int:
        """In fp32, over all ranks that share it: the weight, its gradient and its moments."""
        return 16 if isinstance(self.deepspeed.basic_optimizer, torch.optim.AdamW) else 8

    @property
    def bytes_sent_per_parameter(self) -> int:
        """By each rank when gradients are exchanged."""
        return int(self.deepspeed.communication_data_type.itemsize)

    def close(self) -> None:
        """Frees what the engine held, the model's weights with it, so that the next stage can build its own."""
        optimizers = self.deepspeed.optimizer, self.deepspeed.basic_optimizer
        self.deepspeed.destroy()
        # Stage 3 puts its own in this place for good, which rounds otherwise: what is scored next would not be what a
        # process scores that has trained nothing.
        torch.nn.functional.linear = _LINEAR
        # Engine, optimizer and parameters hold each other, at stage 3 in ways that Python's collector does not see:
        # of XLM-R Large some 10 GB would stay behind each stage.
        self.deepspeed.optimizer = self.deepspeed.basic_optimizer = None
        if self._host:
            self._host.close()
        for parameter in self.model.parameters():
            vars(parameter).clear()
            parameter.grad = None
            parameter.data = parameter.data.new_empty(0)
        self.rows = self._host = None
        self.trained, self.frozen = {}, {}
        for optimizer in optimizers:
            vars(optimizer).clear()
        gc.collect()
        if self.stage == 0 and self.device.type == "cpu":
            give_pages_back()
        else:
            trim_heap()
        get_accelerator().empty_cache()
