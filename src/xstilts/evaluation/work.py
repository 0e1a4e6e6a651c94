"""What is to be predicted, and by which head."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from xstilts.data.store import FeatureSet
from xstilts.tasks import Task


@dataclass(frozen=True)
class Work:
    """One task in one language to be predicted."""

    task: Task
    language: str
    split: str
    features: FeatureSet
    labels: tuple[str, ...] | None
    """Label set of the head, in its order."""
    num_examples: int
    """The first so many are scored."""

    def head(self, heads: Collection[str]) -> str:
        """Which of a model's heads predicts it: its own, else that of the task which trains it; its own name where the
        kind has no head and reads embeddings."""
        return head_of(self.task, heads) or self.task.name


def head_of(task: Task, heads: Collection[str]) -> str | None:
    """Task whose head predicts another's examples, where heads of these tasks are there; None for retrieval."""
    return task.name if task.name in heads else task.trained_by
