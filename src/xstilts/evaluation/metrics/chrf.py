"""Character n-gram F-score of answers (Popovic 2015, by sacrebleu): kind to unsegmented and agglutinative languages."""

from __future__ import annotations

from sacrebleu.metrics.chrf import CHRF

from xstilts.evaluation.metrics.metric import Metric, register_metric
from xstilts.evaluation.metrics.values import share
from xstilts.kinds.span import AnswerReference

_CHRF = CHRF()


def _best(reference: AnswerReference, prediction: str) -> tuple[float, float]:
    """Best sentence-level chrF over the golds, from 0 to 1; an empty answer is right where there is no gold."""
    if not reference.answers:
        return float(not prediction), 1.0
    return max(_CHRF.sentence_score(prediction, [answer]).score for answer in reference.answers) / 100, 1.0


register_metric(Metric("chrf", "chrF", _best, share))
