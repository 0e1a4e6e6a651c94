"""What a score is to be held against: a uniformly random prediction, and the best constant one.

Both go through the task's own metric. Where no closed form exists, chance is the mean over seeded draws.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from xstilts.evaluation.metrics import Metric
from xstilts.evaluation.metrics.retrieval import DEPTH
from xstilts.kinds.example import (
    ChoiceExample,
    Example,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
)

MAX_ANSWER_WORDS = 30
_NUM_DRAWN = 2000
"""Random predictions drawn at least, over all items."""
_WORD = re.compile(r"\S+")


def chance(
    examples: Sequence[Example], golds: Sequence[Any], metric: Metric, *, labels: Sequence[str] = (), seed: int = 0
) -> float:
    """Expected score in percent of a prediction drawn uniformly from the valid ones.

    Valid are: every label (pair, per word in tagging), every option (choice), every run of up to 30 words of the
    context (span), every candidate (retrieval, in closed form).

    Args:
        examples: of one task and language; for retrieval queries and candidates.
        golds: as `golds(examples, language)` gives them.
        labels: the task's closed label set; empty: the labels that occur in `golds`.
    """
    if any(isinstance(example, RetrievalExample) for example in examples):
        return _chance_of_ranking(examples, golds, metric)
    vocabulary = list(labels) or sorted(_all_labels(golds, examples))
    generator = np.random.default_rng(seed)
    num_draws = math.ceil(_NUM_DRAWN / max(1, len(examples)))
    scores = [metric.score(golds, [_draw(e, vocabulary, generator) for e in examples]) for _ in range(num_draws)]
    return sum(scores) / len(scores)


def majority(examples: Sequence[Example], golds: Sequence[Any], metric: Metric) -> float | None:
    """Score in percent of the best constant prediction; None for retrieval, which has none.

    It is the most frequent gold label of these very items (pair, choice; per word in tagging), and for spans the
    better of no answer and the first word of the context.
    """
    match examples:
        case [RetrievalExample(), *_]:
            return None
        case [SpanExample(), *_]:
            first_words = [_first_word(example) for example in examples if isinstance(example, SpanExample)]
            return max(metric.score(golds, guesses) for guesses in (first_words, [""] * len(golds)))
        case [TaggingExample(), *_]:
            tag = _most_frequent(chain.from_iterable(golds))
            return metric.score(golds, [(tag,) * len(gold) for gold in golds])
        case _:
            return metric.score(golds, [_most_frequent(golds)] * len(golds)) if golds else 0.0


def _all_labels(golds: Sequence[Any], examples: Sequence[Example]) -> set[str]:
    match examples:
        case [TaggingExample(), *_]:
            return set(chain.from_iterable(golds))
        case [PairExample(), *_]:
            return set(golds)
        case _:
            return set()


def _draw(example: Example, labels: Sequence[str], generator: np.random.Generator) -> Any:
    match example:
        case PairExample():
            return labels[int(generator.integers(len(labels)))]
        case TaggingExample():
            return tuple(labels[i] for i in generator.integers(len(labels), size=len(example.words)))
        case ChoiceExample():
            return int(generator.integers(len(example.options)))
        case SpanExample():
            return _random_span(example.context, generator)
        case _:
            raise AssertionError(f"{type(example).__name__} is not predicted")


def _random_span(context: str, generator: np.random.Generator) -> str:
    """One of the runs of up to `MAX_ANSWER_WORDS` words, all equally likely, as it stands in the context."""
    words = [match.span() for match in _WORD.finditer(context)]
    if not words:
        return ""
    longest = min(MAX_ANSWER_WORDS, len(words))
    starts_by_length = np.arange(len(words), len(words) - longest, -1)
    place = int(generator.integers(starts_by_length.sum()))
    length = int(np.searchsorted(starts_by_length.cumsum(), place, side="right"))
    first = place - int(starts_by_length[:length].sum())
    return context[words[first][0] : words[first + length][1]]


def _first_word(example: SpanExample) -> str:
    match = _WORD.search(example.context)
    return match[0] if match else ""


def _most_frequent(labels: Iterable[Any]) -> Any:
    """Ties go to the smaller label."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label)) if counts else None


def _chance_of_ranking(examples: Sequence[Example], golds: Sequence[Any], metric: Metric) -> float:
    """Of a random order of all candidates, or for mining of one random target per source sentence."""
    num_candidates = sum(isinstance(example, RetrievalExample) and example.role == "candidate" for example in examples)
    if not num_candidates or not golds:
        return 0.0
    num_relevant = np.array([len(gold) for gold in golds], dtype=np.float64)
    ones = np.ones_like(num_relevant)
    match metric.name:
        case "top1":
            expected = np.stack([num_relevant / num_candidates, ones], axis=-1)
        case "map_at_20":
            precision = [_expected_average_precision(int(relevant), num_candidates) for relevant in num_relevant]
            expected = np.stack([np.array(precision), ones], axis=-1)
        case _:
            expected = np.stack([num_relevant / num_candidates, ones, num_relevant], axis=-1)
    return float(metric.value(expected.sum(axis=0)))


def _expected_average_precision(num_relevant: int, num_candidates: int) -> float:
    """E[AP@20] of a random order: rank r holds a hit with probability R/C, and then (r-1)(R-1)/(C-1) more above it."""
    others = (num_relevant - 1) / max(1, num_candidates - 1)
    ranks = range(1, min(DEPTH, num_candidates) + 1)
    expected = sum(num_relevant / num_candidates * (1 + (rank - 1) * others) / rank for rank in ranks)
    return expected / min(num_relevant, DEPTH)
