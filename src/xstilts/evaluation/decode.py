"""From a head's scores to predictions, one decoder per kind. Ties go to the first label, option or earliest span."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from xstilts.data.encode import Feature
from xstilts.tasks import Kind, Task

MAX_ANSWER_TOKENS = 30
"""Longest answer considered (XTREME's scripts)."""


def decode(task: Task, features: Sequence[Feature], scores: torch.Tensor, labels: tuple[str, ...] | None) -> list[Any]:
    """One prediction per feature, in the form that the task's metrics take; `scores` as the kind's head gives them."""
    return _DECODERS[task.kind](task, features, scores, labels)


def _pair(
    task: Task, features: Sequence[Feature], scores_TC: torch.Tensor, labels: tuple[str, ...] | None
) -> list[str]:
    assert labels is not None
    return [labels[i] for i in scores_TC.argmax(1).tolist()]


def _choice(
    task: Task, features: Sequence[Feature], scores_EO: torch.Tensor, labels: tuple[str, ...] | None
) -> list[int]:
    return [int(i) for i in scores_EO.argmax(1).tolist()]


def _tagging(
    task: Task, features: Sequence[Feature], scores_TC: torch.Tensor, labels: tuple[str, ...] | None
) -> list[tuple[str, ...]]:
    assert labels is not None
    best = iter(scores_TC.argmax(1).tolist())
    return [tuple(labels[next(best)] for _ in feature.positions) for feature in features]


def _span(
    task: Task, features: Sequence[Feature], scores_2WM: torch.Tensor, labels: tuple[str, ...] | None
) -> list[str]:
    """The best span over an example's windows. Where a dataset has questions without answer, the empty string wins if
    `<s>` scores higher as start and end than that span; the null score is the lowest over the windows, as in BERT's
    SQuAD v2.0 script, with threshold 0."""
    may_be_absent = "squad2_f1" in task.metrics
    answers = []
    first = 0
    for feature in features:
        best, text, null = float("-inf"), "", float("inf")
        offset = 0
        for window, length in enumerate(feature.lengths, start=first):
            start, end = scores_2WM[0, window, :length], scores_2WM[1, window, :length]
            null = min(null, float(start[0] + end[0]))
            score, i, j = _best_span(start, end, torch.tensor(feature.starts[offset : offset + length]) >= 0)
            if score > best:
                assert feature.gold is not None
                answer = slice(feature.starts[offset + i], feature.ends[offset + j])
                best, text = score, feature.gold["context"][answer].strip()
            offset += length
        first += len(feature.lengths)
        answers.append("" if may_be_absent and null > best else text)
    return answers


def _best_span(start_M: torch.Tensor, end_M: torch.Tensor, inside_M: torch.Tensor) -> tuple[float, int, int]:
    """(score, first token, last token) of the best span of at most `MAX_ANSWER_TOKENS` context tokens."""
    never = float("-inf")
    start_M, end_M = start_M.masked_fill(~inside_M, never), end_M.masked_fill(~inside_M, never)
    ends_MK = torch.cat((end_M, end_M.new_full((MAX_ANSWER_TOKENS - 1,), never))).unfold(0, MAX_ANSWER_TOKENS, 1)
    total_MK = start_M.unsqueeze(1) + ends_MK
    best = int(total_MK.argmax())
    i, width = divmod(best, MAX_ANSWER_TOKENS)
    return float(total_MK.flatten()[best]), i, i + width


_DECODERS: dict[Kind, Callable[[Task, Sequence[Feature], torch.Tensor, tuple[str, ...] | None], list[Any]]] = {
    Kind.PAIR: _pair,
    Kind.CHOICE: _choice,
    Kind.TAGGING: _tagging,
    Kind.SPAN: _span,
}
