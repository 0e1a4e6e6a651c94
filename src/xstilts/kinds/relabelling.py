"""Controls whose inputs are those of a task and whose targets say nothing about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Relabelling:
    """How the targets of training examples are replaced."""

    scheme: Literal["shuffled", "random"]
    num_classes: int
    """Size of the task's label set; 0 for kinds without one."""
    doc_stride: int
    """`Encoding.doc_stride` of the features."""
