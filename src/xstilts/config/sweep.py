"""A training option chosen for each arm on English dev data, so that it is not confounded with what arms differ in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

if TYPE_CHECKING:
    from xstilts.config.training import StageConfig

Option = Literal[
    "training.lr",
    "training.batch_size",
    "training.epochs",
    "training.steps",
    "training.weight_decay",
    "training.max_grad_norm",
    "training.warmup",
]


def swept(config: StageConfig, value: float) -> StageConfig:
    """The stage with this value written out, and no sweep: what a recipe that says it makes.

    Raises:
        ValueError: the option cannot have the value.
    """
    assert config.sweep is not None
    (option,) = config.sweep
    fields = {**config.training.model_dump(), option.removeprefix("training."): value}
    try:
        training = type(config.training).model_validate(fields)
    except ValidationError as error:
        raise ValueError(f"sweep: {option} = {value:g}: {error.errors()[0]['msg']}") from None
    return config.model_copy(update={"training": training, "sweep": None})


def first_written_out(config: StageConfig) -> StageConfig:
    """The stage as it is if its sweep, where it has one, chooses the first value."""
    return config if config.sweep is None else swept(config, next(iter(config.sweep.values()))[0])


def check_sweep(config: StageConfig) -> None:
    """A ValueError where a stage's sweep makes no sense."""
    if config.sweep is None:
        return
    if len(config.sweep) != 1:
        raise ValueError("sweep chooses one option; give one")
    ((option, values),) = config.sweep.items()
    if len(set(values)) < max(len(values), 2):
        raise ValueError(f"sweep: {option} needs two different values at least, each once")
    if config.training.dev is None:
        raise ValueError("sweep chooses by English dev scores, and training.dev is null; set it")
    reference = config.subset.reference if config.subset else None
    if reference and option not in ("training.steps", "training.epochs"):
        problem = f"sweep: each value of {option} would rank the examples anew by subset.reference"
        if option != "training.lr":
            raise ValueError(f"{problem}; name a file in subset.ranking")
        if reference.lr is None:
            raise ValueError(f"{problem}; give subset.reference.lr")
    for value in values:
        swept(config, value)


def check_pilots(
    seeds: Sequence[int] | None, study_seeds: Iterable[int], arms: Mapping[str, Sequence[StageConfig]]
) -> None:
    """A ValueError where a recipe's sweeps have no seeds of their own, or there are seeds and no sweep."""
    swept_arms = [arm for arm, stages in arms.items() if any(stage.sweep for stage in stages)]
    if seeds is None:
        if swept_arms:
            raise ValueError(f"arm '{swept_arms[0]}' has a sweep, whose pilots need seeds; give some, none of seeds")
        return
    if not swept_arms:
        raise ValueError("no arm has a sweep that would read them; drop them")
    if shared := sorted(set(seeds) & set(study_seeds)):
        problem = f"{shared[0]} is among seeds, and a run would be scored that its own sweep has selected"
        raise ValueError(f"{problem}; give others")
