"""Character n-gram F-score of answers (Popovic 2015, by sacrebleu): kind to unsegmented and agglutinative languages.

It is the score of the whole set, sacrebleu's `corpus_score`: n-grams are counted over all answers, so that a long one
weighs more than a short one. Each prediction is compared with the accepted answer that it is most like.
"""

from __future__ import annotations

import numpy as np
from sacrebleu.metrics.chrf import CHRF

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import ratio
from xstilts.kinds.span import AnswerReference

_CHRF = CHRF()


def _counts(reference: AnswerReference, prediction: str) -> tuple[float, ...]:
    """(in the prediction, in the answer, in both) of the n-grams of each order from 1 to 6. A question without answer
    counts nothing."""
    answers = [[answer] for answer in reference.answers or ("",)]
    return tuple(map(float, _CHRF._extract_corpus_statistics([prediction], answers)[0]))


def _score(sums: np.ndarray) -> np.ndarray:
    """Summed counts [..., 18] -> F2 of precision and recall, each averaged over the orders that both sides have; in
    sacrebleu's order of operations."""
    factor = _CHRF.beta**2
    by_order = sums.reshape(*sums.shape[:-1], _CHRF.order, 3)
    effective_order = np.zeros(sums.shape[:-1])
    precision, recall = np.zeros_like(effective_order), np.zeros_like(effective_order)
    for predicted, right, both in (np.moveaxis(by_order[..., n, :], -1, 0) for n in range(_CHRF.order)):
        counted = (predicted > 0) & (right > 0)
        precision += np.where(counted, ratio(both, predicted), 0.0)
        recall += np.where(counted, ratio(both, right), 0.0)
        effective_order += counted
    precision, recall = ratio(precision, effective_order), ratio(recall, effective_order)
    return 100 * ratio((1 + factor) * precision * recall, factor * precision + recall)


register_metric(Metric("chrf", "chrF", _counts, _score, unanswered=lambda reference: _counts(reference, ""), version=2))
