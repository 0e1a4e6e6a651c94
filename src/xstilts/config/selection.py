"""Rules by which a target's weights are chosen beside the primary one, all from one training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from xstilts.config.base import Once, Positive, Section, Steps
from xstilts.tasks import find_task

if TYPE_CHECKING:
    from xstilts.config.target import Target

Rule = Literal["last", "average", "oracle"]


@dataclass(frozen=True)
class Snapshots:
    """Weights that a stage keeps along its way."""

    every: int
    """Steps between them; those of the last step are kept too."""
    keep: int
    """Newest ones kept."""


class Selection(Section):
    """Which weights of a target's training are scored beside those that `training.dev` selects: for comparing rules of
    selection (Keung et al. 2020; Schmidt et al. 2023), never for the study's answer."""

    also: Annotated[list[Rule], Field(min_length=1), Once] = Field(examples=[["last", "average", "oracle"]])
    """`last`: the weights of the last step; where `training.dev` is null they are what is scored anyway. `average`: the
    mean of the kept weights, in fp32. `oracle`: in each language, of the kept weights and those selected on English
    dev, the ones that are best on the target's dev data in that very language, which zero-shot transfer does not have;
    never on its test data, and not of retrieval. Their rows go into `selection.jsonl`, and `report --selection RULE`
    reads them."""
    every: Steps = Field(examples=[100])
    """Steps between weights that are kept; those of the last step always are."""
    keep: Positive = 5
    """The newest so many are kept until the target is scored, on disk: 4 bytes per parameter each."""

    @property
    def snapshots(self) -> Snapshots:
        """What each training for a target keeps."""
        return Snapshots(self.every, self.keep)


def check_selection(selection: Selection, targets: Mapping[str, Target]) -> None:
    """A ValueError where the rules make no sense for the targets."""
    if not any(target.stages(name) for name, target in targets.items()):
        raise ValueError("no target is trained, so that there is nothing to select; drop it")
    if selection.also == ["last"] and not any(target.training.dev for target in targets.values()):
        raise ValueError("also: last is what is scored where no target has training.dev; drop it or set training.dev")
    for name, target in targets.items():
        if "oracle" in selection.also and target.split == "dev" and find_task(name).kind.trainable:
            problem = f"also: oracle would select on the data that targets.{name}.split scores"
            raise ValueError(f"{problem}; drop it or score another split")
