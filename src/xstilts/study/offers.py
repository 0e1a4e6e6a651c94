"""What of a study is ready to be done, by what lies in its run directory; looked at by one rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from xstilts.study.graph import Leaf, Stage
from xstilts.study.lane import Offer
from xstilts.study.study import Study


class Offers:
    """What is done stays done, and is not read again."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._pilots = list(study.graph.pilots)
        self._unscored = list(study.graph.leaves)
        self._trained: set[str] = set()

    @property
    def num_scored(self) -> int:
        """Leaves that were found to be scored at the last look."""
        return len(self._study.graph.leaves) - len(self._unscored)

    def ready(self) -> list[Offer] | None:
        """Pilot by pilot the first stage that is to be trained, then leaf by leaf that or else the evaluation; None
        when all is scored, or when a sweep can choose, so that the study is to be opened again."""
        study = self._study
        self._pilots = [pilot for pilot in self._pilots if not study.ended(study.workspace.stage(pilot.id))]
        if self._can_choose():
            return None
        self._unscored = [leaf for leaf in self._unscored if not study.scored(leaf)]
        offers: dict[tuple[str, str], Offer] = {}
        for offer in (*self._for_pilots(), *map(self._next, self._unscored)):
            offers.setdefault((offer.kind, offer.key), offer)
        return list(offers.values()) if offers else None

    def _can_choose(self) -> bool:
        """Whether a sweep that has not chosen has all its pilots."""
        to_train = {pilot.id for pilot in self._pilots}
        waiting = [choice for choice in self._study.graph.choices if choice.chosen is None]
        return any(to_train.isdisjoint(id_ for ids in choice.pilots.values() for id_ in ids) for choice in waiting)

    def _for_pilots(self) -> Iterator[Offer]:
        for pilot in self._pilots:
            for stage in self._study.untrained(pilot)[:1]:
                # Where all have chosen, the weights of a pilot go: it is not to be trained again for them.
                yield self._training(stage, self._study.ended if stage is pilot else self._study.holds_stage)

    def _next(self, leaf: Leaf) -> Offer:
        study = self._study
        for needed in filter(None, (leaf.head_of, leaf.stage)):
            if stage := self._first_untrained(needed):
                return self._training(stage, study.holds_stage)
        final, is_whole = study.evaluation(leaf), partial(study.holds_scores, leaf)
        return Offer("evaluation", final.name, f"{leaf.arm} -> {leaf.target} seed {leaf.seed}", final, is_whole)

    def _training(self, stage: Stage, is_whole: Callable[[Path], bool]) -> Offer:
        label, final = f"{stage.label} seed {stage.seed}", self._study.workspace.stage(stage.id)
        return Offer("stage", stage.id, label, final, is_whole)

    def _first_untrained(self, stage: Stage) -> Stage | None:
        """What is to be trained next for this stage's weights; None if they are there."""
        if stage.id in self._trained:
            return None
        lacking = self._study.untrained(stage)
        if not lacking:
            self._trained.add(stage.id)
        return lacking[0] if lacking else None
