"""The stages of a study and what is scored behind them, as they depend on each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xstilts.config.selection import Snapshots
from xstilts.config.target import Target
from xstilts.config.training import StageConfig
from xstilts.data.mixing import epoch_size
from xstilts.study.sweep import Choice


@dataclass(frozen=True)
class DataPart:
    """A part of the data, by its content."""

    task: str
    split: str
    language: str
    num_rows: int
    digest: str
    """Fingerprint of its features: source, tokenizer and encoding."""


@dataclass(frozen=True)
class Stage:
    """One training stage; `parent` None starts from the recipe's model."""

    id: str
    is_leaf: bool
    """Whether it trains for a target: its weights are needed only until that is scored."""
    label: str
    """Where it stands: `pretraining`, `mixed`, `mixed.tydiqa`; numbered where there are several, `mixed.xcopa-2`."""
    config: StageConfig
    parent: Stage | None
    seed: int
    """The study's seed that it belongs to; of pretraining its own, where several of the study's go on from it."""
    randomness: int
    """Seed of its order, heads, masking, dropout and controls: the same in every arm that trains these tasks in this
    role."""
    data: tuple[DataPart, ...]
    """What it trains on and, where it has dev data, selects its weights by."""
    sizes: dict[str, int]
    """Task -> training examples."""
    continues: str | None
    """Task of the stage before whose head this one's task goes on with; None: its heads start anew."""
    files: dict[str, str]
    """What it reads beside English data -> SHA-256."""
    reference: Stage | None = None
    """The stage whose visits rank the examples of which this one trains on a part."""
    snapshots: Snapshots | None = None
    """Weights that it keeps along its way for other rules of selection."""

    @property
    def num_steps(self) -> int:
        return self.config.training.count_steps(epoch_size(self.sizes, self.config.mixing))

    def lineage(self) -> list[Stage]:
        """From the first stage to this one."""
        return [*(self.parent.lineage() if self.parent else []), self]

    def needed(self) -> list[Stage]:
        """Every stage that has to be trained for this one, in order, itself last; some may come twice."""
        before = [stage for stage in (self.parent, self.reference) if stage]
        return [*(each for stage in before for each in stage.needed()), self]


@dataclass(frozen=True)
class Leaf:
    """One arm, target and seed: what is scored."""

    arm: str
    target: str
    seed: int
    stage: Stage | None
    """The stage whose weights are scored; None: the recipe's model itself."""
    languages: tuple[str, ...]
    settings: Target
    head_of: Stage | None = None
    """The stage before whose head predicts; None: the stage itself has the head, or none is needed."""

    @property
    def lineage(self) -> list[Stage]:
        """Every stage behind the weights, first to last."""
        return self.stage.lineage() if self.stage else []


@dataclass(frozen=True)
class Graph:
    """Every leaf of a study, in the order in which to compute them."""

    leaves: tuple[Leaf, ...]
    """Of the arms whose sweeps have chosen: all of them where there is no sweep."""
    model_id: str
    """Identifies the model that all stages start from."""
    planned: tuple[Leaf, ...]
    """The leaves of all arms if every sweep chose its first value, whatever it has chosen: what a study reads and
    scores is known by them beforehand."""
    pilots: tuple[Stage, ...] = ()
    """What sweeps choose by."""
    choices: tuple[Choice, ...] = ()

    def stages(self) -> Iterator[Stage]:
        """Every distinct stage, parents first."""
        return _distinct((*self.pilots, *(leaf.stage for leaf in self.leaves)))

    def planned_stages(self) -> Iterator[Stage]:
        """Every distinct stage behind what is planned, parents first."""
        return _distinct(leaf.stage for leaf in self.planned)


def _distinct(ends: Iterable[Stage | None]) -> Iterator[Stage]:
    """Every stage that these need, once."""
    found: dict[str, Stage] = {}
    for end in ends:
        for stage in end.needed() if end else ():
            found.setdefault(stage.id, stage)
    return iter(found.values())
