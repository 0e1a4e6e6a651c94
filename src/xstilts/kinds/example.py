"""What a reader yields: one frozen dataclass per kind of task, holding the text exactly as released.

Nothing here is tokenised or normalised; answers are offsets into, and scored against, this text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a task is trained and predicted: the kind decides features, head, loss and decoding."""

    PAIR = "pair"
    """One or two texts, one label."""
    CHOICE = "choice"
    """A context and several options, one of them right."""
    SPAN = "span"
    """A question and a context, the answer a span of the context or absent."""
    TAGGING = "tagging"
    """Words, one tag each."""
    MLM = "mlm"
    """Running text; masked tokens are predicted. Training only."""
    RETRIEVAL = "retrieval"
    """Queries and candidates, compared by their embeddings. Evaluation only."""


@dataclass(frozen=True, slots=True)
class PairExample:
    id: str
    text_a: str
    text_b: str | None
    label: str | None
    """None where the release withholds it (test sets)."""


@dataclass(frozen=True, slots=True)
class ChoiceExample:
    id: str
    context: str
    question: str
    """Stands before each option, in the second text of its segment; empty where the context asks already."""
    options: tuple[str, ...]
    label: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    start: int
    """Offset of `text` in the context, in Unicode code points."""


@dataclass(frozen=True, slots=True)
class SpanExample:
    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    """Several golds in dev sets; empty where the question cannot be answered."""


@dataclass(frozen=True, slots=True)
class TaggingExample:
    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class TextExample:
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class RetrievalExample:
    id: str
    role: str
    """`query` or `candidate`."""
    text: str
    text_b: str | None = None
    """Second segment of a candidate (LAReQA: the paragraph around the sentence)."""
    relevant: tuple[str, ...] = ()
    """Ids of the right candidates of a query."""


Example = PairExample | ChoiceExample | SpanExample | TaggingExample | TextExample | RetrievalExample
