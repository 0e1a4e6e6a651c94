"""The least number that suffices, by halving: what a plan needs of root finding without waiting for its library."""

from __future__ import annotations

from collections.abc import Callable

_TOLERANCE = 1e-6
"""Relative."""


def least(suffices: Callable[[float], bool], low: float, high: float) -> float:
    """The least number between these that suffices, if `high` does, `low` does not, and more does whenever less
    does."""
    while high - low > _TOLERANCE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
