"""A recipe: the whole study, as a researcher writes it down."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from xstilts.config.base import Once, Section, TaskName, Tokens
from xstilts.config.match import check_matches
from xstilts.config.question import Question
from xstilts.config.roles import INTERMEDIATE, PRETRAINING, ROLES, TARGET, Role
from xstilts.config.runtime import Runtime
from xstilts.config.selection import Selection, check_selection
from xstilts.config.sweep import check_pilots
from xstilts.config.target import Target
from xstilts.config.training import StageConfig, Training
from xstilts.synthetic.settings import World
from xstilts.tasks import find_task


class Model(Section):
    """The XLM-R encoder."""

    pretrained: str | None = Field(None, examples=["FacebookAI/xlm-roberta-large"])
    """Local folder or hub id of an XLM-R checkpoint; None builds one from `config` with random weights."""
    tokenizer: str | None = Field(None, examples=["FacebookAI/xlm-roberta-large"])
    """Local folder or hub id; None: that of `pretrained`, or `tokenizer/` below the data root."""
    config: dict[str, Any] = Field({}, examples=[{"hidden_dropout_prob": 0.0}])
    """`XLMRobertaConfig` fields for a model built from scratch, or dropout rates over a pretrained one."""


class Data(Section):
    """Where examples come from."""

    root: Path | None = Field(None, examples=["$XSTILTS_DATA"])
    """Folder of official release files; `$NAME` is taken from the environment."""
    hub: bool = False
    """Read what is not below the root from the hub, each task at its pinned revision."""
    world: World | None = None
    """Instead of both: the built-in artificial world, generated into the run directory."""
    cache: Path | None = Field(None, examples=["$SCRATCH/features"])
    """Folder of tokenised features, shared by runs; None: `cache/` in the run directory."""
    sources: dict[TaskName, dict[Literal["train", "dev", "test"], str]] = Field(
        {}, examples=[{"cosmos_qa": {"train": "cosmos_qa/valid.csv[:90%]"}}]
    )
    """Task -> split -> path below the root instead of the official one; may end in a slice of the examples:
    `cosmos_qa/valid.csv[:90%]`. `{code}` stands for the dataset's code of the language."""
    max_length: Annotated[Tokens, Field(ge=8)] | None = Field(None, examples=[256])
    """Longest segment in tokens; None: each task's own."""
    doc_stride: Tokens = 128
    """Tokens from the start of one window over a long context to the start of the next (Devlin et al. 2019: 128)."""

    @model_validator(mode="after")
    def _one_origin(self) -> Data:
        if (self.world is not None) == (self.root is not None or self.hub):
            raise ValueError("data comes from data.root, data.hub or both, or else from data.world; name one")
        if self.sources and self.root is None and self.world is None:
            raise ValueError("data.sources names files below data.root, which is not set; set it")
        return self


class Recipe(Section):
    """A study: arms of intermediate training x target tasks x seeds."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100, examples=["nli-first"])
    """Names the run directory: letters, digits, `.`, `_`, `-`."""
    title: str = Field("", examples=["Does NLI help Swahili?"])
    """One line for the report."""
    model: Model
    """The encoder that every stage starts from."""
    tasks: Annotated[list[Path], Once] = Field([], examples=[["my_task.yaml"]])
    """Files that each define a task of your own (docs/own-data.md), below the folder of the recipe. What they say of
    a task is part of the identity of the stages that train on it."""
    data: Data
    """Where examples come from."""
    runtime: Runtime = Runtime()
    """How it is computed."""
    training: Training = Training()
    """Defaults for every stage."""
    pretraining: list[StageConfig] = []
    """Stages before every arm, trained once per seed (masked language modelling of a small model, say)."""
    arms: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)], list[StageConfig]]
    """Name -> its intermediate stages in order; an empty list is the arm without intermediate training."""
    targets: dict[TaskName, Target]
    """Target task -> how it is trained and scored."""
    selection: Selection | None = None
    """Other rules than the primary one by which weights of the targets' trainings are scored too; None: none."""
    seeds: Annotated[list[int], Field(min_length=1), Once] = Field([0], examples=[[1, 2, 3, 4, 5]])
    """Each repeats every stage behind the pretrained model and every score."""
    pretraining_seeds: Annotated[list[int], Field(min_length=1), Once] | None = Field(None, examples=[[1]])
    """Seeds of `pretraining` where they are not those of the study: its first seed goes on from the first of these, its
    second from the second, and from the first again behind the last. One seed, and the spread over `seeds` is that of
    all that comes after; None: each seed pretrains for itself. A result's `seeds` names both."""
    pilot_seeds: Annotated[list[int], Field(min_length=1), Once] | None = Field(
        None, examples=[[101, 102]], validate_default=True
    )
    """Seeds of the runs that choose what an arm's `sweep` leaves open; none of them is among `seeds`, so that no run is
    scored whose own luck has chosen. Where `pretraining_seeds` are given they go on from the first of these."""
    baseline: Annotated[str, Field(validate_default=True)] = "none"
    """The arm that changes are reported against."""
    question: Question | None = None
    """What `run` and `report` answer first, and `plan` tells the size of: the primary contrasts, named beforehand."""

    def chains(self) -> Iterator[tuple[Role, str, list[StageConfig]]]:
        """(role, name, stages) of what is trained one after the other, in the order in which a study needs it."""
        yield PRETRAINING, PRETRAINING.name, self.pretraining
        for arm, stages in self.arms.items():
            yield INTERMEDIATE, arm, stages
        for target, settings in self.targets.items():
            yield TARGET, target, settings.stages(target)

    @model_validator(mode="before")
    @classmethod
    def _inherit_training(cls, raw: Any) -> Any:
        default = raw.get("training", {}) if isinstance(raw, dict) else None
        if not isinstance(default, dict):
            return raw
        held = {role.key: role.changed(raw[role.key], partial(_inherit, default)) for role in ROLES if role.key in raw}
        return {**raw, **held}

    @field_validator("pretraining")
    @classmethod
    def _matches_no_arm(cls, stages: list[StageConfig]) -> list[StageConfig]:
        if any(stage.sweep for stage in stages):
            raise ValueError("sweep chooses for an arm, and pretraining comes before every arm; write the value out")
        if any(stage.match for stage in stages):
            raise ValueError("pretraining comes before every arm and can match none; give its stages training.steps")
        return stages

    @field_validator("arms")
    @classmethod
    def _matches_arms(cls, arms: dict[str, list[StageConfig]]) -> dict[str, list[StageConfig]]:
        check_matches(arms)
        return arms

    @model_validator(mode="after")
    def _references_are_no_seeds_of_the_study(self) -> Recipe:
        stages = [*self.pretraining, *(stage for stages in self.arms.values() for stage in stages)]
        references = [stage.subset.reference for stage in stages if stage.subset and stage.subset.reference]
        for reference in references:
            if reference.seed in (*self.seeds, *(self.pretraining_seeds or ())):
                problem = f"{reference.seed} is a seed of the study, which would be measured by itself"
                raise ValueError(f"subset.reference.seed: {problem}; give another")
        if references and not self.runtime.record_visits:
            raise ValueError("subset.reference reads visits, which runtime.record_visits turns off; drop one of them")
        return self

    @field_validator("pilot_seeds")
    @classmethod
    def _pilots_are_no_runs_of_the_study(cls, pilots: list[int] | None, others: ValidationInfo) -> list[int] | None:
        if "arms" in others.data:
            check_pilots(pilots, others.data.get("seeds", ()), others.data["arms"])
        return pilots

    @field_validator("selection")
    @classmethod
    def _selects_what_is_trained(cls, selection: Selection | None, others: ValidationInfo) -> Selection | None:
        if selection is not None and "targets" in others.data:
            check_selection(selection, others.data["targets"])
        return selection

    @field_validator("pretraining_seeds")
    @classmethod
    def _every_pretraining_is_used(cls, own: list[int] | None, others: ValidationInfo) -> list[int] | None:
        if own is not None and not others.data.get("pretraining", True):
            raise ValueError("pretraining has no stage that would read them; drop them")
        if own is not None and len(own) > len(others.data.get("seeds", own)):
            raise ValueError("there are more than seeds, so that the last would not be used; drop them or add seeds")
        return own

    @field_validator("baseline")
    @classmethod
    def _baseline_is_an_arm(cls, baseline: str, others: ValidationInfo) -> str:
        arms = others.data.get("arms")
        if arms is not None and baseline not in arms:
            raise ValueError(f"'{baseline}' is not among the arms; name one of: {', '.join(arms)}")
        return baseline

    @field_validator("question")
    @classmethod
    def _question_is_of_this_study(cls, question: Question | None, others: ValidationInfo) -> Question | None:
        arms, targets = others.data.get("arms"), others.data.get("targets")
        if question is not None and arms is not None and targets is not None:
            scored = {name: target.languages or list(find_task(name).languages) for name, target in targets.items()}
            question.check(arms, scored)
        return question


def _inherit(default: dict[str, Any], stage: Any) -> Any:
    """A stage or target as written, its `training` completed by the recipe's; `steps`, `epochs` and what they are to
    match oust each other."""
    if not isinstance(stage, dict) or not isinstance(stage.get("training", {}), dict):
        return stage
    own = stage.get("training", {})
    gives_steps = bool({"steps", "epochs"} & own.keys()) or stage.get("match") is not None
    ousted = {"steps", "epochs"} if gives_steps else set()
    return {**stage, "training": {**{key: value for key, value in default.items() if key not in ousted}, **own}}
