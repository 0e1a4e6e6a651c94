"""Several primary contrasts in one study: Holm's (1979) step-down procedure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm_levels(p_values: Sequence[float], alpha: float = 0.05) -> list[float]:
    """For each contrast the confidence level at which its interval gives Holm's verdict.

    The i-th smallest of m p-values (from 0) is held against alpha / (m - i). At the first that fails the procedure
    stops: the rest keep that level. An interval of the level returned excludes no effect exactly if Holm rejects.
    """
    levels = [0.0] * len(p_values)
    remaining = len(p_values)
    for i in np.argsort(p_values, kind="stable"):
        levels[int(i)] = 1 - alpha / remaining
        if p_values[int(i)] <= alpha / remaining:
            remaining -= 1
    return levels
