"""The roles in which stages are trained: where a recipe writes them, and the word by which their randomness is drawn.

One table, which the recipe's defaults, its languages, the data that a study reads and the graph of stages go by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xstilts.config.explain import Place


@dataclass(frozen=True)
class Role:
    """What stages are trained for."""

    name: str
    """Part of the seed of order, heads, masking and dropout: the same in every arm that trains the same tasks in it."""
    key: str
    """The recipe's key that holds them."""
    named: bool
    """Whether they stand below names, an arm's or a target's."""
    chained: bool
    """Whether what stands there is a list of stages; else one section that stages are made from."""

    def written(self, recipe: Mapping[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
        """(place, section) of every stage of the role in a recipe as written; what is of another form is passed over,
        for the check of types to name."""
        held = recipe.get(self.key)
        below = held.items() if self.named and isinstance(held, dict) else () if self.named else [(None, held)]
        for name, entry in below:
            place: Place = (self.key,) if name is None else (self.key, name)
            stages = enumerate(entry) if self.chained and isinstance(entry, list) else [(None, entry)]
            for number, stage in stages:
                if isinstance(stage, dict):
                    yield (place if number is None else (*place, number)), stage

    def changed(self, held: Any, change: Callable[[Any], Any]) -> Any:
        """What a recipe holds under the role's key, every stage changed."""
        if self.named:
            return {name: self._each(entry, change) for name, entry in held.items()} if isinstance(held, dict) else held
        return self._each(held, change)

    def _each(self, entry: Any, change: Callable[[Any], Any]) -> Any:
        if not self.chained:
            return change({} if entry is None else entry)
        return [change(stage) for stage in entry] if isinstance(entry, list) else entry


PRETRAINING = Role("pretraining", "pretraining", named=False, chained=True)
"""Before every arm."""
INTERMEDIATE = Role("intermediate", "arms", named=True, chained=True)
"""Of an arm."""
TARGET = Role("target", "targets", named=True, chained=False)
"""For a target: its weights are needed only until that is scored."""
ROLES = (PRETRAINING, INTERMEDIATE, TARGET)
"""In the order in which they follow each other."""
