"""Sweeps: pilots of every value under seeds of their own, and the value that their English dev scores choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

from xstilts.config.sweep import swept
from xstilts.config.training import StageConfig

if TYPE_CHECKING:
    from xstilts.study.graph import Stage


@dataclass(frozen=True)
class Choice:
    """What a stage's sweep has found."""

    label: str
    """Of the stage."""
    option: str
    seeds: tuple[int, ...]
    """Of the pilots."""
    pilots: dict[str, list[str]]
    """Value -> stage of each seed."""
    scores: dict[str, list[float | None]]
    """Value -> English dev score of each pilot, in percent; None of one that is not trained yet."""
    chosen: float | None
    """The value of the best mean, the first of equals; None while a pilot is lacking."""

    def line(self) -> str:
        """What a plan says of it."""
        means = [f"{v} ({fmean(known):.1f})" if (known := _known(s)) else v for v, s in self.scores.items()]
        chosen = "chosen by pilots when they are trained" if self.chosen is None else f"{self.chosen:g} chosen"
        return f"{self.label}: {self.option} {chosen}, of {', '.join(means)} (English dev)"


@dataclass
class Sweeps:
    """All sweeps of a recipe, resolved one after the other as a graph is laid out."""

    pilot: Callable[[int, str, Sequence[StageConfig]], Stage]
    """(seed, label, stages of an arm up to a swept one, every value written out) -> the last of them."""
    seeds: Sequence[int]
    dev_score: Callable[[str], float | None]
    """Of a stage by its id, in percent; None before it is trained."""
    choices: list[Choice] = field(default_factory=list)
    pilots: list[Stage] = field(default_factory=list)

    def resolved(self, arm: str, configs: Sequence[StageConfig]) -> list[StageConfig] | None:
        """The arm's stages with chosen values; None while its pilots are not all trained."""
        done: list[StageConfig] = []
        for number, config in enumerate(configs, start=1):
            if config.sweep is not None:
                label = f"{arm}-{number}" if len(configs) > 1 else arm
                choice = self._choice(label, done, config)
                if choice.chosen is None:
                    return None
                config = swept(config, choice.chosen)
            done.append(config)
        return done

    def _choice(self, label: str, before: Sequence[StageConfig], config: StageConfig) -> Choice:
        assert config.sweep is not None
        ((option, values),) = config.sweep.items()
        scores: dict[float, list[float | None]] = {}
        pilots: dict[str, list[str]] = {}
        for value in values:
            name = f"{label}.{option.rpartition('.')[2]}={value:g}"
            stages = [self.pilot(seed, name, [*before, swept(config, value)]) for seed in self.seeds]
            self.pilots += stages
            pilots[f"{value:g}"] = [stage.id for stage in stages]
            scores[value] = [self.dev_score(stage.id) for stage in stages]
        means = {value: fmean(_known(found)) for value, found in scores.items() if None not in found}
        chosen = max(means, key=lambda value: means[value]) if len(means) == len(values) else None
        shown = {f"{value:g}": found for value, found in scores.items()}
        self.choices.append(Choice(label, option, tuple(self.seeds), pilots, shown, chosen))
        return self.choices[-1]


def _known(scores: Sequence[float | None]) -> list[float]:
    return [score for score in scores if score is not None]
