"""Span F1 of tag sequences as seqeval computes it, in the two versions that published numbers come from.

Both versions read tags by the rule of the CoNLL-2000 script conlleval: a tag is a prefix (its first letter) and a
type, and a sequence that breaks the IOB scheme is repaired, not rejected. They differ in what the type is:

- seqeval 1.2.2 (`tag_f1`, named entities): what follows the prefix, `B-PER` -> `PER`;
- seqeval 0.0.12 (`xtreme_pos_f1`, XTREME's number for UDPOS): what follows the last hyphen, or the whole tag without
  one. On bare UPOS tags equal neighbours thus merge into one span, except SCONJ and SYM, whose first letter is read
  as the prefix S of a span of one word; and CCONJ is not SCONJ, which 1.x confuses (it strips both to `CONJ`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import f1, precision, recall

Span = tuple[str, int, int]
"""Type, first word, last word."""
Sentence = tuple[int, frozenset[Span]]
"""Number of words, spans."""


def _type_behind_prefix(tag: str) -> str:
    return tag[1:].split("-", maxsplit=1)[-1] or "_"


def _type_behind_hyphen(tag: str) -> str:
    return tag.rsplit("-", maxsplit=1)[-1]


def _closes(prefix: str, type_: str, next_prefix: str, next_type: str) -> bool:
    if prefix in "ES" or (prefix in "BI" and next_prefix in "BSO"):
        return True
    return prefix not in "O." and type_ != next_type


def _opens(prefix: str, type_: str, next_prefix: str, next_type: str) -> bool:
    if next_prefix in "BS" or (prefix in "ESO" and next_prefix in "EI"):
        return True
    return next_prefix not in "O." and type_ != next_type


def read_spans(sentences: Iterable[Sequence[str]], type_of: Callable[[str], str]) -> list[Sentence]:
    """The spans of sentences that follow each other.

    seqeval puts an `O` behind every sentence and reads on, which shows where a tag is outside every scheme, such as a
    bare `X`: behind an `O`, whose type it shares, it opens no span, and the one that ends with it is taken to begin
    where the last one was opened, in an earlier sentence perhaps. Words are counted from the sentence's first.
    """
    read = []
    type_, start = "", 0
    for tags in sentences:
        found = set[Span]()
        prefix = "O"
        for i, tag in enumerate((*tags, "O")):
            next_prefix, next_type = tag[0], type_of(tag)
            if _closes(prefix, type_, next_prefix, next_type):
                found.add((type_, start, i - 1))
            if _opens(prefix, type_, next_prefix, next_type):
                start = i
            prefix, type_ = next_prefix, next_type
        read.append((len(tags), frozenset(found)))
        start -= len(tags) + 1
    return read


def _statistics(reference: Sentence, prediction: Sentence) -> tuple[float, ...]:
    (num_words, right), (num_tags, guessed) = reference, prediction
    assert num_words == num_tags, f"{num_tags} tags for {num_words} words"
    return float(len(right & guessed)), float(len(guessed)), float(len(right))


def _register(family: str, title: str, type_of: Callable[[str], str]) -> None:
    beside = (f"{family}_precision", f"{family}_recall")

    def read(sentences: Sequence[Sequence[str]]) -> list[Sentence]:
        return read_spans(sentences, type_of)

    register_metric(Metric(f"{family}_f1", f"{title} F1", _statistics, f1, read=read, beside=beside))
    register_metric(Metric(beside[0], f"{title} precision", _statistics, precision, read=read))
    register_metric(Metric(beside[1], f"{title} recall", _statistics, recall, read=read))


_register("tag", "Span", _type_behind_prefix)
_register("xtreme_pos", "XTREME's POS", _type_behind_hyphen)
