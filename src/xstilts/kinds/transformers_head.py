"""A kind's head as a class of `transformers` has it, by which stages are exported and checkpoints taken in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TransformersHead:
    """Where the parameters of our head are in a model of that class."""

    class_name: str
    names: Mapping[str, str]
    """Parameter of the class -> ours."""
    biases: Mapping[str, int] = field(default_factory=dict)
    """Biases of the class that our head has not, and their sizes. They shift all scores that are compared alike."""

    @property
    def auto_class(self) -> str:
        """The class by which any model of the form is loaded."""
        return self.class_name.replace("XLMRoberta", "AutoModel")

    def exported(self, head: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our head under the names of the class, zeros for biases."""
        like = next(iter(head.values()))
        zeros = {name: like.new_zeros(size) for name, size in self.biases.items()}
        return {**{theirs: head[ours] for theirs, ours in self.names.items()}, **zeros}

    def taken_in(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters of our head from those of a model of the class."""
        return {ours: state[theirs] for theirs, ours in self.names.items()}
