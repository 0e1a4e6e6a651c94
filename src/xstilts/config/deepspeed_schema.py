"""The part of DeepSpeed 0.19.8's JSON that the trainer has been tested with, and why the rest is refused.

Read from DeepSpeed's runtime/config.py, zero/config.py, zero/offload_config.py and precision_config.py; a test compares
both tables with the keys that the installed DeepSpeed reads.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from xstilts.config.base import Section


def _integral(value: Any) -> Any:
    """5e8 is how DeepSpeed's pages write bucket sizes, and JSON makes a float of it; True is no 1."""
    if isinstance(value, bool):
        raise ValueError("a number is wanted")
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_integral), Field(ge=0)]
Stage = Annotated[Literal[0, 1, 2, 3], BeforeValidator(_integral)]
One = Annotated[Literal[1], BeforeValidator(_integral)]


class _Json(Section):
    """JSON has types of its own: `"2"` is not 2 and 1 is not true."""

    model_config = ConfigDict(strict=True)


class OffloadOptimizer(_Json):
    """Optimizer state, and the optimizer's step, in host memory."""

    device: Literal["cpu"]
    pin_memory: bool = True
    ratio: Annotated[float, Field(ge=0, le=1)] = 1.0


class OffloadParam(_Json):
    """Parameters in host memory (stage 3)."""

    device: Literal["cpu"]
    pin_memory: bool = True


class ZeroOptimization(_Json):
    """What is cut over the ranks, and in what portions it travels."""

    stage: Stage = 0
    contiguous_gradients: bool = True
    reduce_scatter: bool = True
    reduce_bucket_size: Count = 500_000_000
    use_multi_rank_bucket_allreduce: bool = True
    allgather_partitions: bool = True
    allgather_bucket_size: Count = 500_000_000
    overlap_comm: bool | None = None
    offload_optimizer: OffloadOptimizer | None = None
    offload_param: OffloadParam | None = None
    sub_group_size: Count = 1_000_000_000
    stage3_prefetch_bucket_size: Count = 50_000_000
    stage3_param_persistence_threshold: Count = 100_000
    stage3_model_persistence_threshold: Count | None = None
    stage3_max_live_parameters: Count = 1_000_000_000
    stage3_max_reuse_distance: Count = 1_000_000_000
    stage3_module_granularity_threshold: Count = 0
    stage3_use_all_reduce_for_fetch_params: bool = False
    stage3_allgather_sequential: bool = False
    round_robin_gradients: bool = False
    parameter_alignment: bool = False
    log_trace_cache_warnings: bool = False
    enable_sanity_checks: bool = False


class Bf16(_Json):
    enabled: bool = False
    check_grad_overflow: Literal[True] = True
    """Without it DeepSpeed puts a gradient that is not finite into the weights."""


class Fp16(_Json):
    enabled: bool = False
    loss_scale: Annotated[float, Field(ge=0)] = 0
    initial_scale_power: Count = 16
    loss_scale_window: Annotated[Count, Field(gt=0)] = 1000
    hysteresis: Count = 2
    consecutive_hysteresis: bool = False
    min_loss_scale: Annotated[Count, Field(gt=0)] = 1


class DataTypes(_Json):
    grad_accum_dtype: Literal["fp32"] = "fp32"
    """DeepSpeed's own default is the model's dtype: bf16 gradients would be added up in bf16."""


class CommsLogger(_Json):
    enabled: bool = False
    prof_all: bool = True
    prof_ops: list[str] = []
    verbose: bool = False
    debug: bool = False


class FlopsProfiler(_Json):
    enabled: bool = False
    recompute_fwd_factor: float = 0.0
    profile_step: Count = 1
    module_depth: int = -1
    top_modules: Count = 1
    detailed: bool = True
    output_file: str | None = None


class Throughput(_Json):
    enabled: bool = False
    synchronized: bool = False


class Timers(_Json):
    throughput: Throughput = Throughput()


class DeepSpeedFile(_Json):
    """A DeepSpeed JSON as the trainer accepts it."""

    zero_optimization: ZeroOptimization = ZeroOptimization()
    bf16: Bf16 = Bf16()
    fp16: Fp16 = Fp16()
    data_types: DataTypes = DataTypes()
    communication_data_type: Literal["fp32", "bf16", "fp16"] | None = None
    prescale_gradients: bool = False
    gradient_predivide_factor: Annotated[float, Field(gt=0)] = 1.0
    train_micro_batch_size_per_gpu: One = 1
    """One packed row; its size is the recipe's runtime.tokens_per_micro_batch."""
    gradient_accumulation_steps: One = 1
    """The number of micro-batches in a step varies, and the trainer counts them."""
    managed_gradient_accumulation: Literal[False] = False
    zero_allow_untested_optimizer: Literal[True] = True
    zero_force_ds_cpu_optimizer: Literal[False] = False
    """The optimizer is torch's in every configuration, so that offload changes no number."""
    steps_per_print: None = None
    """Every step is in steps.jsonl and TensorBoard, and runtime.log_every says which are printed."""
    wall_clock_breakdown: bool = False
    memory_breakdown: bool = False
    dump_state: bool = False
    log_level: str | None = None
    comms_logger: CommsLogger = CommsLogger()
    flops_profiler: FlopsProfiler = FlopsProfiler()
    timers: Timers = Timers()


FILLED_IN: dict[str, Any] = {
    "train_micro_batch_size_per_gpu": 1,
    "gradient_accumulation_steps": 1,
    "managed_gradient_accumulation": False,
    "zero_allow_untested_optimizer": True,
    "zero_force_ds_cpu_optimizer": False,
    "steps_per_print": None,
    # DeepSpeed's throughput timer synchronises the device in every step.
    "timers": {"throughput": {"enabled": False}},
}
"""What the trainer needs and DeepSpeed does not do by default; a file that says otherwise is refused."""

_BY_RECIPE = {
    "optimizer": "training.optimizer, training.lr, training.betas, training.eps, training.weight_decay",
    "scheduler": "training.lr, training.warmup, training.steps",
    "gradient_clipping": "training.max_grad_norm",
    "train_batch_size": "training.batch_size",
    "activation_checkpointing": "runtime.activation_checkpointing",
    "checkpoint": "runtime.checkpoint_every, runtime.keep_checkpoints",
    "autotuning": "runtime.tokens_per_micro_batch",
}
_WITH_REMEDY = {
    "amp": "write bf16 or fp16",
    "bfloat16": "write bf16",
    "torch_autocast": "write bf16 or fp16",
    "data_types.param_dtype": "write bf16 or fp16",
    "aio": "offload to the CPU",
    "elasticity": "remove it; a run goes on at another world size by being launched again",
    "zero_optimization.cpu_offload": 'write "offload_optimizer": {"device": "cpu"}',
    "zero_optimization.cpu_offload_param": 'write "offload_param": {"device": "cpu"}',
    "zero_optimization.cpu_offload_use_pin_memory": "write pin_memory under offload_optimizer",
    "zero_optimization.offload_optimizer.nvme_path": "offload to the CPU",
    "zero_optimization.offload_param.nvme_path": "offload to the CPU",
    **dict.fromkeys(("tensorboard", "wandb", "csv_monitor", "comet"), "write runtime.trackers into the recipe"),
}
_UNTESTED = {
    "": "compression_training compile curriculum_learning data_efficiency dataloader_drop_last datastates_ckpt"
    " disable_allgather disable_python_gc eigenvalue expert_parallel gradient_allreduce_op graph_harvesting"
    " hybrid_engine nebula pipeline progressive_layer_drop quantize_training seq_parallel_communication_data_type"
    " sequence_parallel_size sparse_attention sparse_gradients tensor_parallel use_data_before_expert_parallelism"
    " vocabulary_size weight_quantization",
    "zero_optimization.": "compute_grad_norm elastic_checkpoint ignore_unused_parameters leaf_module legacy_stage1"
    " load_from_fp32_weights memory_efficient_linear mics_hierarchical_params_gather mics_shard_size"
    " override_module_apply pipeline_loading_checkpoint save_muon_momentum_buffer_in_memory"
    " stage3_gather_16bit_weights_on_model_save stage3_gather_fp16_weights_on_model_save zenflow"
    " zero_hpz_partition_size zero_quantized_gradients zero_quantized_nontrainable_weights zero_quantized_weights"
    " zeropp_loco_param",
    "zero_optimization.offload_optimizer.": "buffer_count cpuadam_cores_perc fast_init pipeline_read pipeline_write"
    " super_offload",
    "zero_optimization.offload_param.": "buffer_count buffer_size max_in_cpu",
    "bf16.": "bf16_master_weights_and_grads bf16_optimizer_states immediate_grad_update",
    "fp16.": "auto_cast fp16_master_weights_and_grads",
    "data_types.": "buffer_dtype keep_in_fp32_modules",
}
"""The other keys of this and the last versions of DeepSpeed, by section: known, so that a typo is told from them."""

REFUSED: dict[str, str] = {
    **{
        f"{section}{key}": "the trainer is not tested with it; remove it"
        for section, keys in _UNTESTED.items()
        for key in keys.split()
    },
    **{key: f"the recipe sets it: {place}" for key, place in _BY_RECIPE.items()},
    **_WITH_REMEDY,
}
"""Dotted key -> remedy, for every key of DeepSpeed that a file may not hold."""
