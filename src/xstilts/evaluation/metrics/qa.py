"""Exact match and token F1 of answers: SQuAD v1.1, SQuAD v2.0 and MLQA.

Sources: the evaluation scripts of Rajpurkar et al. 2016 (v1.1, which XTREME applies to XQuAD and TyDiQA in every
language), Rajpurkar et al. 2018 (v2.0) and Lewis et al. 2020 (MLQA v1).
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import ratio
from xstilts.kinds.span import AnswerReference

Normalise = Callable[[str, str], str]
"""(text, language key) -> the text as it is compared."""
Compare = Callable[[str, str], float]
"""(normalised answer, normalised prediction) -> score from 0 to 1."""
Statistics = Callable[[AnswerReference, str], tuple[float, ...]]


_ENGLISH_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ASCII_PUNCTUATION = frozenset(string.punctuation)
_MLQA_ARTICLES = {
    "eng": _ENGLISH_ARTICLES,
    "spa": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "vie": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "deu": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "arb": re.compile("ال"),
}
_MLQA_CHARACTERWISE = "zho"
_HAN = re.compile("([\u4e00-\u9fa5])")


@cache
def _unicode_punctuation() -> frozenset[str]:
    """Not made on import: every character that there is is asked for."""
    every = map(chr, range(sys.maxunicode + 1))
    return _ASCII_PUNCTUATION | {character for character in every if unicodedata.category(character).startswith("P")}


def _without(characters: frozenset[str], text: str) -> str:
    return "".join(character for character in text if character not in characters)


def normalise_squad(text: str, language: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single spaces; the same in every language."""
    return " ".join(_ENGLISH_ARTICLES.sub(" ", _without(_ASCII_PUNCTUATION, text.lower())).split())


def normalise_mlqa(text: str, language: str) -> str:
    """MLQA's rules: Unicode punctuation removed, the language's own articles (Arabic: every "ال", also inside a word),
    Chinese cut into characters. A language outside MLQA has no articles and is cut at spaces.
    """
    code = language[:3]
    text = _without(_unicode_punctuation(), text.lower())
    if code in _MLQA_ARTICLES:
        text = _MLQA_ARTICLES[code].sub(" ", text)
    if code == _MLQA_CHARACTERWISE:
        text = _HAN.sub(r" \1 ", text)
    return " ".join(text.split())


def _exact(right: str, prediction: str) -> float:
    return float(right == prediction)


def _f1(right: str, prediction: str) -> float:
    """Token F1; 0 without a common token, so that two empty texts score 0 as in SQuAD v1.1."""
    right_tokens, predicted_tokens = right.split(), prediction.split()
    common = (Counter(predicted_tokens) & Counter(right_tokens)).total()
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted_tokens), common / len(right_tokens)
    return 2 * precision * recall / (precision + recall)


def _f1_or_both_empty(right: str, prediction: str) -> float:
    return _f1(right, prediction) if right and prediction else float(right == prediction)


def _best(normalise: Normalise, compare: Compare) -> Statistics:
    """Best score over the accepted answers, of which every question of v1.1 and MLQA has one."""

    def statistics(reference: AnswerReference, prediction: str) -> tuple[float, ...]:
        assert reference.answers, "a question without answer needs the metrics of SQuAD v2.0"
        guess = normalise(prediction, reference.language)
        return max(compare(normalise(answer, reference.language), guess) for answer in reference.answers), 1.0

    return statistics


def _best_or_none(compare: Compare) -> Statistics:
    """v2.0: answers that normalise to nothing do not count; without any left, the right answer is the empty one."""

    def statistics(reference: AnswerReference, prediction: str) -> tuple[float, ...]:
        normal = (normalise_squad(answer, reference.language) for answer in reference.answers)
        guess = normalise_squad(prediction, reference.language)
        return max(compare(right, guess) for right in [text for text in normal if text] or [""]), 1.0

    return statistics


def _percent(sums: np.ndarray) -> np.ndarray:
    """As the scripts multiply before they divide, which differs from `share` in the last bit."""
    return ratio(100.0 * sums[..., 0], sums[..., 1])


def _register(family: str, title: str, exact: Statistics, f1: Statistics) -> None:
    """Exact match and F1; their mean is the score of a task in XTREME."""
    headline = (f"{family}_em", f"{family}_f1")
    register_metric(Metric(headline[0], f"Exact match{title}", exact, _percent, headline=headline))
    register_metric(Metric(headline[1], f"F1{title}", f1, _percent, headline=headline))


_register("squad", "", _best(normalise_squad, _exact), _best(normalise_squad, _f1))
_register("squad2", " (v2.0)", _best_or_none(_exact), _best_or_none(_f1_or_both_empty))
_register("mlqa", " (MLQA)", _best(normalise_mlqa, _exact), _best(normalise_mlqa, _f1))
