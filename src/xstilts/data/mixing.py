"""Shares of the tasks in a stage, and quotas that hold them without any history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from xstilts.config.training import Mixing

_RESOLUTION = 1 << 32


def shares(sizes: Mapping[str, int], mixing: Mixing) -> dict[str, Fraction]:
    """Exact probability of each task per example, summing to 1.

    Rounded to 2^-32 before normalising, so that every machine derives the same integers from the same floats.
    """
    if mixing.weighting == "explicit":
        assert mixing.weights is not None
        raw = {name: float(mixing.weights[name]) for name in sizes}
    elif mixing.weighting == "uniform":
        raw = dict.fromkeys(sizes, 1.0)
    elif mixing.weighting == "proportional":
        raw = {name: float(n) for name, n in sizes.items()}
    else:
        exponent = 1.0 if mixing.weighting == "capped" else 1.0 / mixing.temperature
        raw = {name: float(min(n, mixing.cap)) ** exponent for name, n in sizes.items()}
    total = sum(raw.values())
    integers = {name: max(1, round(value / total * _RESOLUTION)) for name, value in raw.items()}
    return {name: Fraction(n, sum(integers.values())) for name, n in integers.items()}


def quotas(num_draws: int, share: Sequence[Fraction]) -> list[int]:
    """How many of the first `num_draws` draws belong to each task.

    Each task takes the floor of its part of what the tasks before it left over. A floor of a non-decreasing number
    times a share <= 1 never falls and never grows faster than that number, so every quota is monotone in
    `num_draws`, the quotas add up exactly, and the quota of any step is a difference of two calls: no history.
    Each stays within len(share) of its true share.
    """
    left, left_share = num_draws, Fraction(1)
    taken = []
    for part in share[:-1]:
        take = left * part // left_share
        taken.append(int(take))
        left, left_share = left - int(take), left_share - part
    return [*taken, left]
