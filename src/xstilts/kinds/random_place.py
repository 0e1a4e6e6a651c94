"""Answers at random places of a context: a control for reading comprehension."""

from __future__ import annotations

import numpy as np

from xstilts.kinds.feature import Feature


def at_random_place(feature: Feature, num_tokens: int, doc_stride: int, generator: np.random.Generator) -> list[int]:
    """Start and end of the same span in each window of a question, 0 and 0 where a window does not hold all of it.

    Args:
        num_tokens: length of the span, cut to the longest window's; 0 for no answer.
        doc_stride: tokens from the start of one window to the start of the next.
        generator: draws the place uniformly from those that a window holds whole.
    """
    # `<s> question </s></s> context </s>`, and the last token is `</s>` whatever its id.
    before_context = feature.tokens.index(feature.tokens[feature.lengths[0] - 1]) + 2
    num_context = [length - before_context - 1 for length in feature.lengths]
    num_tokens = min(num_tokens, max(num_context))
    targets = [0, 0] * len(num_context)
    if num_tokens == 0:
        return targets
    held = [
        range(window * doc_stride, window * doc_stride + size - num_tokens + 1)
        for window, size in enumerate(num_context)
    ]
    starts = sorted(set().union(*held))
    start = starts[int(generator.integers(len(starts)))]
    for window, places in enumerate(held):
        if start in places:
            first = before_context + start - window * doc_stride
            targets[2 * window : 2 * window + 2] = first, first + num_tokens - 1
    return targets
