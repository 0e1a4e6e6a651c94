"""A recipe: the whole study, as a researcher writes it down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xstilts.config.base import Section
from xstilts.config.training import Positive, StageConfig, Training
from xstilts.world.settings import World


class Model(Section):
    """The XLM-R encoder."""

    pretrained: str | None = None
    """Local folder or hub id of an XLM-R checkpoint; None builds one from `config` with random weights."""
    tokenizer: str | None = None
    """Local folder or hub id; None: that of `pretrained`, or `tokenizer/` below the data root."""
    config: dict[str, Any] = {}
    """`XLMRobertaConfig` fields for a model built from scratch, or dropout rates over a pretrained one."""


class Data(Section):
    """Where examples come from."""

    root: Path | None = None
    """Folder of official release files; `$NAME` is taken from the environment. Exactly one of `root`, `world`, `hub`."""
    world: World | None = None
    """The built-in artificial world, generated into the run directory."""
    hub: bool = False
    """Read every task from its pinned hub revision."""
    cache: Path | None = None
    """Folder of tokenised features, shared by runs; None: `cache/` in the run directory."""
    sources: dict[str, dict[str, str]] = {}
    """Task -> split -> path below the root instead of the official one; may end in a slice of the examples:
    `cosmos_qa/valid.csv[:90%]`. `{code}` stands for the dataset's code of the language."""
    max_length: Positive | None = None
    """Longest segment in tokens; None: each task's own."""
    doc_stride: Positive = 128
    """Tokens by which the windows over a long context overlap."""

    @model_validator(mode="after")
    def _one_origin(self) -> Data:
        if sum((self.root is not None, self.world is not None, self.hub)) != 1:
            raise ValueError("data needs exactly one of data.root, data.world and data.hub")
        return self


class Runtime(Section):
    """How it is computed: nothing here changes what a stage means, so nothing here is in its hash but precision."""

    deepspeed: str = "zero2_bf16"
    """Name of a file in `ds_configs/` or a path to a DeepSpeed JSON."""
    tokens_per_micro_batch: Positive = 16384
    """Token budget of one packed forward and backward."""
    activation_checkpointing: bool = False
    """Recompute each layer in the backward pass instead of keeping its activations."""
    checkpoint_every: Positive = 1000
    """Steps between checkpoints."""
    keep_checkpoints: Positive = 2
    """Newest checkpoints kept of a stage in progress."""
    keep_leaf_weights: bool = False
    """Keep the weights of target stages after they are scored; predictions and scores are always kept."""
    log_every: Positive = 1
    """Steps between progress lines."""


class Target(Section):
    """One target task: trained on in English, scored in every language."""

    languages: list[str] | None = None
    """Language keys; None: all the task has."""
    train_on: list[str] | None = None
    """Tasks trained on in English before scoring, one stage each; the last one's head predicts. None: the task's own
    training data, nothing for retrieval. XTREME-R scores Tatoeba after `[squad_v1]` and XCOPA after `[siqa, copa]`."""
    training: Training = Training()
    """Overrides the recipe's `training`, field by field."""
    split: Literal["test", "dev"] = "test"
    max_examples: Positive | None = None
    """Score only the first so many examples of each language; None: all."""


class Recipe(Section):
    """A study: arms of intermediate training x target tasks x seeds."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the run directory: letters, digits, `.`, `_`, `-`."""
    title: str = ""
    """One line for the report."""
    model: Model
    data: Data
    runtime: Runtime = Runtime()
    training: Training = Training()
    """Defaults for every stage."""
    pretraining: list[StageConfig] = []
    """Stages before every arm, trained once per seed (masked language modelling of a small model, say)."""
    arms: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")], list[StageConfig]]
    """Name -> its intermediate stages in order; an empty list is the arm without intermediate training."""
    targets: dict[str, Target]
    """Target task -> how it is trained and scored."""
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    baseline: str = "none"
    """The arm that changes are reported against."""

    @model_validator(mode="before")
    @classmethod
    def _inherit_training(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("training", {}), dict):
            return raw
        default = raw.get("training", {})

        def inherit(stage: Any) -> Any:
            if not isinstance(stage, dict) or not isinstance(stage.get("training", {}), dict):
                return stage
            own = stage.get("training", {})
            base = {k: v for k, v in default.items() if not (k in ("steps", "epochs") and {"steps", "epochs"} & own.keys())}
            return {**stage, "training": {**base, **own}}

        def inherit_all(stages: Any) -> Any:
            return [inherit(stage) for stage in stages] if isinstance(stages, list) else stages

        merged = {**raw, "pretraining": inherit_all(raw.get("pretraining", []))}
        if isinstance(raw.get("arms"), dict):
            merged["arms"] = {arm: inherit_all(stages) for arm, stages in raw["arms"].items()}
        if isinstance(raw.get("targets"), dict):
            merged["targets"] = {
                name: inherit({} if target is None else target) for name, target in raw["targets"].items()
            }
        return merged

    @model_validator(mode="after")
    def _baseline_is_an_arm(self) -> Recipe:
        if self.baseline not in self.arms:
            raise ValueError(f"baseline '{self.baseline}' is not among the arms; name one of: {', '.join(self.arms)}")
        return self
