"""The right answer of an example in the form that metrics take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from xstilts.evaluation.metrics.qa import QaGold
from xstilts.kinds.example import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
)


def golds(examples: Iterable[Example], language: str) -> list[Any]:
    """Golds in order of the examples: a label, an option's index, a tuple of tags, a `QaGold`, or the ids of a query's
    right candidates. Candidates of a retrieval task have none and are passed over.
    """
    return [_gold(example, language) for example in examples if not _is_candidate(example)]


def _is_candidate(example: Example) -> bool:
    return isinstance(example, RetrievalExample) and example.role == "candidate"


def _gold(example: Example, language: str) -> Any:
    match example:
        case PairExample() | ChoiceExample():
            assert example.label is not None, f"example {example.id} has no label"
            return example.label
        case TaggingExample():
            assert example.tags is not None, f"example {example.id} has no tags"
            return example.tags
        case SpanExample():
            return QaGold(tuple(answer.text for answer in example.answers), language)
        case RetrievalExample():
            return example.relevant
        case _:
            raise AssertionError(f"{type(example).__name__} is not scored")
