"""What of a study is ready to be done, by what lies in its run directory; looked at by one rank."""

from __future__ import annotations

from functools import partial

from xstilts.study.graph import Leaf, Stage
from xstilts.study.lane import Offer
from xstilts.study.study import Study


class Offers:
    """What is done stays done, and is not read again."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._unscored = list(study.graph.leaves)
        self._trained: set[str] = set()

    @property
    def num_scored(self) -> int:
        """Leaves that were found to be scored at the last look."""
        return len(self._study.graph.leaves) - len(self._unscored)

    def ready(self) -> list[Offer] | None:
        """Leaf by leaf the first stage that is to be trained, or else the evaluation; None when all is scored."""
        self._unscored = [leaf for leaf in self._unscored if not self._study.scored(leaf)]
        offers: dict[tuple[str, str], Offer] = {}
        for leaf in self._unscored:
            offer = self._next(leaf)
            offers.setdefault((offer.kind, offer.key), offer)
        return list(offers.values()) if offers else None

    def _next(self, leaf: Leaf) -> Offer:
        study = self._study
        for needed in filter(None, (leaf.head_of, leaf.stage)):
            if stage := self._first_untrained(needed):
                final = study.workspace.stage(stage.id)
                return Offer("stage", stage.id, f"{stage.label} seed {stage.seed}", final, study.holds_stage)
        final, is_whole = study.evaluation(leaf), partial(study.holds_scores, leaf)
        return Offer("evaluation", final.name, f"{leaf.arm} -> {leaf.target} seed {leaf.seed}", final, is_whole)

    def _first_untrained(self, stage: Stage) -> Stage | None:
        """What is to be trained next for this stage's weights; None if they are there."""
        if stage.id in self._trained:
            return None
        lacking = self._study.untrained(stage)
        if not lacking:
            self._trained.add(stage.id)
        return lacking[0] if lacking else None
