"""Mining of parallel sentences out of two collections (BUCC), by margin (Artetxe and Schwenk 2019).

The score of a pair is its cosine over the mean cosine of both sentences to their k nearest neighbours. As in XTREME:
each side proposes its best neighbour by that score, pairs are accepted best first while both sentences are free, and a
threshold tuned on the dev set cuts the list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xstilts.kinds.search import nearest_both, unit

# S source sentences, T target sentences, H hidden size, k neighbours.

Pair = tuple[str, str]
"""Source id, target id."""


@dataclass(frozen=True, slots=True)
class Sentences:
    """One side: parallel sequences of ids and texts, and their embeddings [n, H]."""

    ids: Sequence[str]
    texts: Sequence[str]
    embedding_NH: Tensor


@dataclass(frozen=True, slots=True)
class Candidate:
    pair: Pair
    score: float


def mine(source: Sentences, target: Sentences, *, k: int = 4) -> list[Candidate]:
    """Accepted pairs, best first, to be cut by a threshold.

    A text that occurs twice on its side is one sentence while mining; as its id is then ambiguous, its pairs are left
    out of the result.
    """
    (source_ids, source_SH), (target_ids, target_TH) = _distinct(source), _distinct(target)
    return [
        Candidate((source_id, target_id), score)
        for i, j, score in margin_pairs(source_SH, target_TH, k)
        if (source_id := source_ids[i]) is not None and (target_id := target_ids[j]) is not None
    ]


def margin_pairs(source_SH: Tensor, target_TH: Tensor, k: int) -> list[tuple[int, int, float]]:
    """(source index, target index, ratio margin) by decreasing margin, every sentence at most once, margins above 0.

    Equal margins keep the order: sources' proposals before targets', lower index first.
    """
    source_SH, target_TH = unit(source_SH), unit(target_TH)
    (forward_Sk, forward_index_Sk), (backward_Tk, backward_index_Tk) = nearest_both(source_SH, target_TH, k)
    mean_S, mean_T = forward_Sk.double().mean(dim=1), backward_Tk.double().mean(dim=1)
    forward_score_Sk = forward_Sk.double() / ((mean_S[:, None] + mean_T[forward_index_Sk]) / 2)
    backward_score_Tk = backward_Tk.double() / ((mean_T[:, None] + mean_S[backward_index_Tk]) / 2)
    forward_S, forward_target_S = _best(forward_score_Sk, forward_index_Sk)
    backward_T, backward_source_T = _best(backward_score_Tk, backward_index_Tk)

    sources = torch.cat([torch.arange(len(source_SH), device=source_SH.device), backward_source_T]).tolist()
    targets = torch.cat([forward_target_S, torch.arange(len(target_TH), device=target_TH.device)]).tolist()
    scores, order = torch.cat([forward_S, backward_T]).sort(descending=True, stable=True)
    accepted, used_sources, used_targets = [], set[int](), set[int]()
    for n, score in zip(order.tolist(), scores.tolist(), strict=True):
        i, j = sources[n], targets[n]
        if score > 0 and i not in used_sources and j not in used_targets:
            used_sources.add(i)
            used_targets.add(j)
            accepted.append((i, j, score))
    return accepted


def tune_threshold(candidates: Sequence[Candidate], right: Collection[Pair]) -> float:
    """The threshold of best F1 on these candidates: midway between the last score above it and the first below.

    Candidates of equal score are above or below together. Among equal F1s the highest threshold wins; they are computed
    as XTREME's script computes them, 2pr / (p + r), by which cuts whose F1 is the same fraction may differ in the last
    bit. 0, which keeps everything, where no candidate is right.
    """
    right = set(right)
    ranked = sorted(candidates, key=lambda candidate: -candidate.score)
    threshold, best_f1, correct = 0.0, 0.0, 0
    for extracted, candidate in enumerate(ranked, start=1):
        correct += candidate.pair in right
        is_last = extracted == len(ranked)
        following = candidate.score if is_last else ranked[extracted].score
        if not correct or (following == candidate.score and not is_last):
            continue
        precision, recall = correct / extracted, correct / len(right)
        f1 = 2 * precision * recall / (precision + recall)
        if f1 > best_f1:
            threshold, best_f1 = (candidate.score + following) / 2, f1
    return threshold


def extract(candidates: Sequence[Candidate], threshold: float) -> set[Pair]:
    """The pairs whose score reaches the threshold."""
    return {candidate.pair for candidate in candidates if candidate.score >= threshold}


def _best(score_Nk: Tensor, index_Nk: Tensor) -> tuple[Tensor, Tensor]:
    """Highest margin of every row and its neighbour, the nearest one among equals."""
    best_N1 = score_Nk.argmax(dim=1, keepdim=True)
    return score_Nk.gather(1, best_N1).squeeze(1), index_Nk.gather(1, best_N1).squeeze(1)


def _distinct(side: Sentences) -> tuple[list[str | None], Tensor]:
    """Ids and embeddings of the distinct texts in order of first occurrence; None for the id of a repeated text."""
    texts = [text.strip() for text in side.texts]
    occurrences = Counter(texts)
    first = {text: i for i, text in reversed(list(enumerate(texts)))}
    rows = [first[text] for text in occurrences]
    ids = [side.ids[row] if occurrences[texts[row]] == 1 else None for row in rows]
    return ids, side.embedding_NH[rows]
