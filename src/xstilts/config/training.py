"""What is computed in a stage: everything here is part of a stage's identity."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from xstilts.config.base import (
    Examples,
    LanguageKey,
    Once,
    Positive,
    Section,
    Share,
    Steps,
    TaskName,
    Unit,
    Weight,
)
from xstilts.config.code_switch import CodeSwitch
from xstilts.config.match import Match
from xstilts.config.subset import Subset
from xstilts.config.sweep import Option, check_sweep
from xstilts.config.trainable import Trainable
from xstilts.core.errors import UserError, did_you_mean
from xstilts.tasks import find_task
from xstilts.tasks.languages import ENGLISH

BelowOne = Annotated[Share, Field(lt=1)]


class Mixing(Section):
    """How a stage draws from its tasks. Probabilities are over examples: a long context cut into windows is one."""

    by: Literal["example", "batch"] = "example"
    """`example`: every step holds every task. `batch`: every step holds one task, as in Phang et al. (2020)."""
    weighting: Literal["proportional", "capped", "temperature", "uniform", "explicit"] = "capped"
    """p ~ n; min(n, cap); min(n, cap)^(1/temperature); 1; or the numbers under `weights`."""
    cap: Examples = 2**17
    """K of `capped` and `temperature` (2^17 in Phang et al.)."""
    temperature: Annotated[float, Field(ge=1)] = 1.0
    """T of `temperature`: 1 draws in proportion to size, more evens tasks out."""
    weights: dict[TaskName, Annotated[Weight, Field(gt=0)]] | None = Field(None, examples=[{"mnli": 2, "qqp": 1}])
    """Task -> probability weight, for `explicit` only."""
    loss_weights: dict[TaskName, Weight] = Field({}, examples=[{"squad_v2": 0.5}])
    """Task -> factor on the loss of each of its examples; 1 where absent."""

    @model_validator(mode="after")
    def _nothing_unused(self) -> Mixing:
        if (self.weighting == "explicit") != (self.weights is not None):
            raise ValueError("mixing.weights and mixing.weighting: explicit belong together; give both or neither")
        for option, readers in (("cap", ("capped", "temperature")), ("temperature", ("temperature",))):
            default = Mixing.model_fields[option].default
            if getattr(self, option) != default and self.weighting not in readers:
                raise ValueError(f"mixing.{option} is not read by weighting: {self.weighting}; drop one of them")
        return self


class Dev(Section):
    """Selection on English dev data while training."""

    every: Steps = 1000
    """Steps between evaluations."""
    num_examples: Examples = 500
    """The first so many dev examples of each task (Phang et al.: 500)."""
    patience: Annotated[Positive, Unit("evaluations")] = 30
    """Stop after so many evaluations without a better score (Phang et al.: 30)."""


class Training(Section):
    """Optimisation of one stage."""

    steps: Steps | None = Field(None, examples=[3000])
    """Optimizer steps; exactly one of `steps` and `epochs`."""
    epochs: Annotated[float, Field(gt=0), Unit("passes")] | None = Field(None, examples=[3])
    """Passes over the stage's data: steps = ceil(epochs x examples / batch_size). Of a task in a mixture no more
    examples count than `mixing.cap`."""
    batch_size: Examples = 32
    """Examples in a step, over all ranks."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """`sgd` is plain, without momentum: for proofs of exactness."""
    lr: Annotated[float, Field(gt=0), Unit("per step")] = 1e-5
    """Learning rate at the end of the warm-up."""
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    """AdamW's decay of the running means of gradient and squared gradient."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator of AdamW's update."""
    weight_decay: Annotated[float, Field(ge=0), Unit("per step, times lr")] = 0.01
    """On matrices of encoder and adapters, and embeddings; never on biases, LayerNorm or heads (an absent head would
    decay)."""
    max_grad_norm: Annotated[float, Field(ge=0), Unit("L2 norm")] = 1.0
    """Gradients are scaled down to this global norm; 0 turns clipping off."""
    warmup: Share = 0.1
    """Share of the steps in which the learning rate rises linearly from 0; it then falls linearly to 0."""
    mlm_probability: Annotated[Share, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens predicted in masked language modelling; of these 80 % masked, 10 % random, 10 % kept."""
    dev: Dev | None = None
    """English dev selection and early stopping; None trains all steps and keeps the last weights."""

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("training.steps and training.epochs exclude each other; keep one")
        return self

    def count_steps(self, num_examples: int) -> int:
        """Optimizer steps of a stage whose epoch has so many examples."""
        if self.steps is not None:
            return self.steps
        if self.epochs is None:
            raise UserError("training.steps and training.epochs are both unset; give one")
        return math.ceil(self.epochs * num_examples / self.batch_size)


class StageConfig(Section):
    """One training stage."""

    tasks: Annotated[list[TaskName], Field(min_length=1), Once] = Field(examples=[["mnli", "qqp"]])
    """Names of registered tasks, mixed."""
    languages: Annotated[list[LanguageKey], Field(min_length=1), Once] = Field([ENGLISH], examples=[["en", "sw"]])
    """Languages of the text for masked language modelling, each drawn from in proportion to its text; the stage's
    other tasks train in `source_language`. Keys, codes or names, or a suite for all of its languages."""
    source_language: LanguageKey = Field(ENGLISH, examples=["sw"])
    """Language in which the stage's tasks are trained, text for masked language modelling aside, and its weights
    selected on dev data: from a release's own files in it, or training text translated into it (docs/data.md)."""
    mixing: Mixing = Mixing()
    """How often each of the tasks is drawn."""
    training: Training = Training()
    """Overrides the recipe's `training`, field by field."""
    trainable: Trainable = Trainable()
    """Which parameters are trained."""
    match: Match | None = None
    """A control of equal length: as many updates as another arm takes. In arms alone."""
    code_switch: CodeSwitch | None = None
    """Words of the text for masked language modelling are replaced by translations, and restored."""
    inputs_of: TaskName | None = Field(None, examples=["mnli"])
    """The stage's task of masked language modelling reads no files of its own, but the English training inputs of this
    task, without their labels: with `match`, the control that takes as many updates on the same text."""
    subset: Subset | None = None
    """Train on a part of the examples of the stage's task."""
    sweep: dict[Option, list[float]] | None = Field(None, examples=[{"training.lr": [1e-5, 3e-5]}])
    """One option and the values among which pilots choose: the stage is trained with each value under every seed of
    `pilot_seeds`, behind what stands before it in the arm, and the value whose mean English dev score is best is the
    one that the study's seeds are trained with (the first of equals). Their stages are those of a recipe that writes
    the value out; `run.json` and `stage.json` say the choice and the scores. In arms alone; needs `training.dev`."""
    labels: Literal["gold", "shuffled", "random"] = "gold"
    """A control for training as such: `shuffled` gives each training example another one's label (tags: another word's
    of the sentence; options: among examples with as many), `random` one drawn uniformly from the label set. An answer
    in a context becomes a span of as many tokens at a random place under both, and where questions may have no answer
    those that have one are others. Dev data keeps its labels."""

    def languages_of(self, task: str) -> list[str]:
        """Languages in which the stage trains on one of its tasks."""
        return self.languages if find_task(task).kind.any_language else [self.source_language]

    @model_validator(mode="after")
    def _reads_its_languages(self) -> StageConfig:
        if self.languages != [ENGLISH] and not any(find_task(name).kind.any_language for name in self.tasks):
            raise ValueError("languages are read by masked language modelling, which is not in the stage; drop them")
        if self.source_language != ENGLISH and all(find_task(name).kind.any_language for name in self.tasks):
            raise ValueError("source_language is of tasks with labels, and the stage has none; use languages")
        return self

    @model_validator(mode="after")
    def _switches_text(self) -> StageConfig:
        if self.code_switch is not None and not any(find_task(name).kind.any_language for name in self.tasks):
            raise ValueError("code_switch is of text for masked language modelling, which is not in the stage; drop it")
        return self

    @model_validator(mode="after")
    def _reads_inputs_of_a_task(self) -> StageConfig:
        if self.inputs_of is None:
            return self
        if sum(find_task(name).kind.any_language for name in self.tasks) != 1:
            raise ValueError("inputs_of is of one task of masked language modelling; name exactly one in the stage")
        kind = find_task(self.inputs_of).kind
        if kind.any_language or not kind.trainable:
            raise ValueError(f"inputs_of: '{self.inputs_of}' has no labelled training inputs; name a task that has")
        if self.languages != [ENGLISH] or self.code_switch is not None:
            raise ValueError("inputs_of reads no text files, of which languages and code_switch are; drop them")
        return self

    @model_validator(mode="after")
    def _sweeps_what_it_can(self) -> StageConfig:
        check_sweep(self)
        return self

    @model_validator(mode="after")
    def _subset_of_one_task(self) -> StageConfig:
        if self.subset is not None:
            if len(self.tasks) > 1:
                raise ValueError("subset is of one task's examples, and the stage has several; leave one")
            kind = find_task(self.tasks[0]).kind
            if not kind.relabels:
                raise ValueError(f"subset is of labelled examples, and '{self.tasks[0]}' has none; drop one of them")
            if self.subset.stratify and not kind.one_label:
                raise ValueError(f"subset.stratify: an example of '{self.tasks[0]}' has no single label; drop it")
        return self

    @model_validator(mode="after")
    def _one_number_of_steps(self) -> StageConfig:
        if self.match is not None and (self.training.steps is not None or self.training.epochs is not None):
            raise ValueError("match.steps excludes training.steps and training.epochs; keep one")
        if self.match is not None and self.training.dev is not None:
            raise ValueError("match.steps asks for all steps, and training.dev may stop earlier; set it to null here")
        return self

    @model_validator(mode="after")
    def _has_labels_to_replace(self) -> StageConfig:
        bare = next((name for name in self.tasks if not find_task(name).kind.relabels), None)
        if self.labels != "gold" and bare is not None:
            raise ValueError(f"labels: {self.labels} replaces labels, and '{bare}' has none; drop one of them")
        return self

    @model_validator(mode="after")
    def _mixes_its_tasks(self) -> StageConfig:
        for option, weights in (("weights", self.mixing.weights), ("loss_weights", self.mixing.loss_weights)):
            for name in weights or ():
                if name not in self.tasks:
                    raise ValueError(
                        f"mixing.{option} names '{name}', which is not in the stage; {did_you_mean(name, self.tasks)}"
                    )
        for name in self.tasks:
            if self.mixing.weights is not None and name not in self.mixing.weights:
                raise ValueError(f"mixing.weights has no weight for '{name}'; add it or drop the task")
        return self
