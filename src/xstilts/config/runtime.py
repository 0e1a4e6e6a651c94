"""How a study is computed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from xstilts.config.base import Once, Positive, Section, Steps, Tokens, Unit

Attention = Literal["rectangles", "varlen"]


class Runtime(Section):
    """How it is computed: nothing here changes what a stage means, so nothing here is in its hash."""

    deepspeed: str = "zero1_bf16"
    """Name of a file in `ds_configs/` or a path to a DeepSpeed JSON; on a CPU `zero0_fp32_cpu` is the fastest."""
    tokens_per_micro_batch: Tokens = 16384
    """Token budget of one packed forward and backward."""
    micro_batches_per_step: Positive | None = Field(None, examples=[8])
    """Cut a training step into so many micro-batches of like size, or into a multiple where the budget asks for more.
    Set it to a multiple of the number of GPUs: those left without a micro-batch run an empty one. It does not follow
    that number by itself, so that the losses do not either. None: as few micro-batches as the budget allows."""
    vocabulary_rows: Literal["occurring", "all"] = "occurring"
    """`occurring`: a stage without masked language modelling trains the embedding rows that occur in its data; what
    becomes of the others is known without computing it. `all`: every row, for the same weights up to rounding."""
    activation_checkpointing: bool = False
    """Recompute each layer in the backward pass instead of keeping its activations."""
    attention: Attention = "rectangles"
    """`rectangles`: segments of like length attend together, a call for each length. `varlen`: one call for all; on a
    GPU that is torch's flash attention in half precision (Ampere or newer), and in fp32 a kernel without dropout. It
    has never run on a GPU, so it is not the default; on a CPU it computes what `rectangles` does, for tests. Dropout
    draws other masks."""
    compile: bool = False
    """For training, compile the layers of the encoder but the last with `torch.compile`; needs `attention: varlen` and
    ZeRO 0 to 2. Made for GPUs, and not tried on one yet; on a CPU it is no faster."""
    checkpoint_every: Steps = 1000
    """Steps between checkpoints."""
    keep_checkpoints: Positive = 2
    """Newest checkpoints kept of a stage in progress."""
    keep_every: Steps | None = Field(None, examples=[10000])
    """Besides those, keep the checkpoints of steps that this number divides, until the stage is done."""
    async_checkpoint: bool = False
    """Write checkpoints while training goes on, from a copy in host memory: 12 bytes per parameter, shared by ranks."""
    keep_leaf_weights: bool = False
    """Keep the weights of target stages after they are scored; predictions and scores are always kept."""
    record_visits: bool = True
    """Leave in each stage's folder what the loss of every training item was each time it was drawn, before the update
    that learnt from it: what `difficulty` and `subset.reference` read. Some 20 bytes and a microsecond a draw."""
    lease_seconds: Annotated[float, Field(ge=1), Unit("seconds")] = 60.0
    """Silence of a launch after which another launch of the same study takes over what it was at. A launch of the same
    machine whose process is gone is not waited for."""
    log_every: Steps = 1
    """Steps between progress lines."""
    trackers: Annotated[list[Literal["csv", "wandb", "comet"]], Once] = Field([], examples=[["wandb"]])
    """Where curves go besides TensorBoard: `csv` (`csv/` in each stage's folder), `wandb` (a run per stage, by the
    variables WANDB_PROJECT and WANDB_ENTITY), `comet`. The packages of the last two are for you to install."""
    on_nonfinite: Literal["skip", "stop"] = "skip"
    """A step whose loss or gradient is not finite changes no weights and its examples are named; then go on or end."""
    max_skips: Positive = 10
    """End when so many steps in a row were skipped."""
    straggler_every: Steps = 100
    """Steps between comparisons of the ranks' times."""
    straggler_percent: Annotated[float, Field(gt=0), Unit("percent")] = 25.0
    """Name the slowest rank when it works so much longer per step than the median of the others."""

    @model_validator(mode="after")
    def _compiles_what_keeps_its_shape(self) -> Runtime:
        if self.compile and self.attention == "rectangles":
            raise ValueError("runtime.compile needs runtime.attention: varlen; rectangles of new shapes compile anew")
        return self

    def idle_ranks(self, world_size: int) -> str | None:
        """What is wrong with `micro_batches_per_step` on so many ranks, in one line; None where every forward has
        something to do, or where only the data can tell."""
        count = self.micro_batches_per_step
        if count is None or count % world_size == 0:
            return None
        share = 1 - count / (-(-count // world_size) * world_size)
        fitting = -(-count // world_size) * world_size
        return (
            f"{world_size} ranks share {count} micro-batches a step: {share:.0%} of their forwards are empty; "
            f"set runtime.micro_batches_per_step={fitting}, or take a number of ranks that divides {count}"
        )
