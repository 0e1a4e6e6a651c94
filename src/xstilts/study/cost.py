"""What a study costs, by arithmetic from lengths and shapes: tokens, FLOPs, bytes in memory, on disk and on the wire.

How far these are from what was measured: benchmarks/estimates.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from xstilts.config.deepspeed import DeepSpeedJson, Offload, Precision
from xstilts.config.runtime import Runtime
from xstilts.data.store import FeatureSet
from xstilts.data.vocabulary import occurring
from xstilts.model.fields import shape_of
from xstilts.model.flops import training_flops
from xstilts.study.graph import Stage
from xstilts.study.size import planned_size
from xstilts.study.study import Study
from xstilts.tasks import find_task

NUM_SAMPLED = 1000
"""Examples of a task whose lengths stand for all."""
_VALUES_PER_TOKEN = 18.6
"""Activations that a layer keeps for backward, per token and unit of width, in the precision of training: 38.1 KB at
width 1024 in 16 bits, counted without attention's probabilities, which are not kept."""
_MASTER_AND_MOMENTS = 12


@dataclass(frozen=True)
class StageCost:
    """One stage, on ranks that share its steps evenly."""

    stage: Stage
    num_tokens: float
    """Of all steps and ranks."""
    flops: float
    """Of all steps and ranks, forward and backward."""
    memory: float
    """Bytes on each device: weights, gradients, optimizer, activations of the largest micro-batch."""
    by_zero: Mapping[int, float]
    """The same at each ZeRO stage, nothing offloaded."""
    offloaded: tuple[float, float]
    """The same at stage 3 with optimizer and parameters offloaded, and bytes of the host's memory for each rank."""
    sent: float
    """Bytes that each rank passes to collectives in a step."""
    weights: float
    """Bytes of the finished stage on disk."""
    checkpoints: float
    """Bytes of checkpoints while it is trained."""


def cost_of(study: Study, stage: Stage, world_size: int) -> StageCost:
    """The cost of one stage on `world_size` ranks; of a frozen encoder as if it were trained."""
    shape = shape_of(study.recipe.model, study.catalogue.tokenizer)
    size = planned_size(shape, study.catalogue, stage.config.tasks)
    steps = study.steps(stage, planned=True)
    batch_size = stage.config.training.batch_size
    tokens, flops = 0.0, 0.0
    for task, share in steps.plan.shares.items():
        lengths = _sample(steps.features[task])
        num_drawn = float(share) * batch_size * stage.num_steps / len(lengths)
        segments = list(chain.from_iterable(lengths))
        tokens += num_drawn * sum(segments)
        flops += num_drawn * training_flops(shape, segments)
    whole = size.encoder + size.embeddings + sum(size.heads.values())
    left_out = _rows_left_out(study, stage, shape.vocab_size) * shape.hidden_size
    trained = whole - left_out
    runtime = study.recipe.runtime
    tokens_per_step = tokens / stage.num_steps
    tokens_at_once = min(runtime.tokens_per_micro_batch, tokens_per_step / (runtime.micro_batches_per_step or 1))
    width = 4 if study.deepspeed.precision == "fp32" else 2
    kept_layers = 1 if runtime.activation_checkpointing else shape.num_hidden_layers
    activations = _VALUES_PER_TOKEN * width * shape.hidden_size * kept_layers * tokens_at_once
    num_forwards = max(1, round(tokens_per_step / tokens_at_once / world_size))
    # What stage 3 gathers at once at least: the largest tensor, and a layer.
    gathered = (trained - size.encoder - sum(size.heads.values())) + shape.num_in_layer
    precision, offload = study.deepspeed.precision, study.deepspeed.offload
    states = partial(zero_bytes, trained, precision, world_size=world_size, gathered=gathered)
    return StageCost(
        stage,
        tokens,
        flops,
        memory=states(study.deepspeed.zero_stage, offload) + activations,
        by_zero={zero: states(zero, "none") + activations for zero in range(4)},
        offloaded=(
            states(3, "optimizer+param") + activations,
            (_MASTER_AND_MOMENTS + width) * trained / world_size,
        ),
        sent=sent_bytes(trained, study.deepspeed, num_forwards),
        weights=4.0 * whole,
        checkpoints=_checkpoint_bytes(whole, stage, runtime),
    )


def zero_bytes(
    num_trained: int, precision: Precision, zero_stage: int, offload: Offload, *, world_size: int, gathered: int = 0
) -> float:
    """Bytes on each device for weights, gradients, masters and moments (Rajbhandari et al. 2020, section 3, with
    gradients added up in fp32). Of parameters that are offloaded, those `gathered` at once."""
    width = 4 if precision == "fp32" else 2
    weights: float = width * num_trained / (world_size if zero_stage == 3 else 1)
    if offload == "optimizer+param":
        weights = width * gathered
    gradients = 4 * num_trained / (world_size if zero_stage >= 2 else 1)
    if zero_stage == 0:
        optimizer: float = (8 if width == 4 else _MASTER_AND_MOMENTS) * num_trained
    elif offload != "none":
        optimizer = 0
    else:
        optimizer = _MASTER_AND_MOMENTS * num_trained / world_size
    return float(weights + gradients + optimizer)


def sent_bytes(num_trained: int, deepspeed: DeepSpeedJson, num_forwards: int) -> float:
    """Bytes of the tensors that a rank gives to collectives in a step of so many forwards on each rank: gradients once,
    at stages 2 and 3 after each backward; weights once, at stage 3 before each forward and backward. At stage 3 it is
    the most: a model that fits what DeepSpeed keeps gathered is not gathered again for backward."""
    width = 4 if deepspeed.precision == "fp32" else 2
    exchanged = str(deepspeed.values.get("communication_data_type", deepspeed.precision))
    gradients = (4 if exchanged == "fp32" else 2) * num_trained * (num_forwards if deepspeed.zero_stage >= 2 else 1)
    weights = {0: 0, 1: 1, 2: 1, 3: 2 * num_forwards}[deepspeed.zero_stage] * width * num_trained
    return float(gradients + weights)


def _sample(features: FeatureSet) -> list[list[int]]:
    """Lengths of the segments of some examples, evenly spaced."""
    rows = np.unique(np.linspace(0, len(features) - 1, NUM_SAMPLED).astype(int))
    return features.segment_lengths(rows).lists()


def _rows_left_out(study: Study, stage: Stage, num_pieces: int) -> int:
    """Vocabulary rows that the stage does not train; those of its dev data are not looked for."""
    tied = any(find_task(name).kind.ties_embeddings for name in stage.config.tasks)
    if tied or study.recipe.runtime.vocabulary_rows == "all":
        return 0
    found = np.zeros(num_pieces, dtype=bool)
    for features in study.steps(stage, planned=True).features.values():
        found |= occurring(features, num_pieces)
    return int((~found).sum())


def _checkpoint_bytes(num_parameters: int, stage: Stage, runtime: Runtime) -> float:
    """Master weights and moments; while one is written those before it are still there."""
    saved = (stage.num_steps - 1) // runtime.checkpoint_every
    return float(_MASTER_AND_MOMENTS * num_parameters * min(saved, runtime.keep_checkpoints + 1))


def longest_chain(stages: Sequence[Stage], hours: Sequence[float]) -> float:
    """Hours of the longest chain of stages that must follow each other: no number of lanes is faster."""
    ends: dict[str, float] = {}
    for stage, own in zip(stages, hours, strict=True):
        ends[stage.id] = own + (ends.get(stage.parent.id, 0.0) if stage.parent else 0.0)
    return max(ends.values(), default=0.0)
