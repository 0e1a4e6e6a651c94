"""Kinds of task, a file each: what tasks of one form have in common, from the example to the file of predictions."""

from xstilts.kinds.base import Example, Kind
from xstilts.kinds.choice import CHOICE, ChoiceExample
from xstilts.kinds.mining import MINING
from xstilts.kinds.mlm import MLM, TextExample
from xstilts.kinds.nearest import NEAREST
from xstilts.kinds.pair import PAIR, PairExample
from xstilts.kinds.ranking import RANKING
from xstilts.kinds.retrieval import RetrievalExample
from xstilts.kinds.span import SPAN, SPAN_OR_NONE
from xstilts.kinds.squad_json import Answer, SpanExample
from xstilts.kinds.tagging import TAGGING, TaggingExample

__all__ = [
    "CHOICE",
    "MINING",
    "MLM",
    "NEAREST",
    "PAIR",
    "RANKING",
    "SPAN",
    "SPAN_OR_NONE",
    "TAGGING",
    "Answer",
    "ChoiceExample",
    "Example",
    "Kind",
    "PairExample",
    "RetrievalExample",
    "SpanExample",
    "TaggingExample",
    "TextExample",
]
