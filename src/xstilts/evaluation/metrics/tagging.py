"""Span F1 of tag sequences as seqeval computes it, in the two versions that published numbers come from.

Both versions read tags by the rule of the CoNLL-2000 script conlleval: a tag is a prefix (its first letter) and a
type, and a sequence that breaks the IOB scheme is repaired, not rejected. They differ in what the type is:

- seqeval 1.2.2 (`tag_f1`, named entities): what follows the prefix, `B-PER` -> `PER`;
- seqeval 0.0.12 (`xtreme_pos_f1`, XTREME's number for UDPOS): what follows the last hyphen, or the whole tag without
  one. On bare UPOS tags equal neighbours thus merge into one span, except SCONJ and SYM, whose first letter is read
  as the prefix S of a span of one word; and CCONJ is not SCONJ, which 1.x confuses (it strips both to `CONJ`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import f1, precision, recall

Span = tuple[str, int, int]
"""Type, first word, last word."""


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


def spans(tags: Sequence[str], type_of: Callable[[str], str]) -> set[Span]:
    """The spans of one sentence."""
    found: set[Span] = set()
    start, prefix, type_ = 0, "O", ""
    for i, tag in enumerate((*tags, "O")):
        next_prefix, next_type = tag[0], type_of(tag)
        if _closes(prefix, type_, next_prefix, next_type):
            found.add((type_, start, i - 1))
        if _opens(prefix, type_, next_prefix, next_type):
            start = i
        prefix, type_ = next_prefix, next_type
    return found


def _statistics(type_of: Callable[[str], str]) -> Callable[[Sequence[str], Sequence[str]], tuple[float, ...]]:
    def statistics(reference: Sequence[str], prediction: Sequence[str]) -> tuple[float, ...]:
        assert len(reference) == len(prediction), f"{len(prediction)} tags for {len(reference)} words"
        right, guessed = spans(reference, type_of), spans(prediction, type_of)
        return float(len(right & guessed)), float(len(guessed)), float(len(right))

    return statistics


def _register(family: str, title: str, type_of: Callable[[str], str]) -> None:
    statistics, beside = _statistics(type_of), (f"{family}_precision", f"{family}_recall")
    register_metric(Metric(f"{family}_f1", f"{title} F1", statistics, f1, beside=beside))
    register_metric(Metric(beside[0], f"{title} precision", statistics, precision))
    register_metric(Metric(beside[1], f"{title} recall", statistics, recall))


_register("tag", "Span", _type_behind_prefix)
_register("xtreme_pos", "XTREME's POS", _type_behind_hyphen)
