"""Shares of the tasks in a stage, and quotas that hold them without any history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache

from xstilts.config.training import Mixing

_RESOLUTION = 1 << 20


def shares(sizes: Mapping[str, int], mixing: Mixing) -> dict[str, Fraction]:
    """Exact probability of each task per example, summing to 1."""
    weights = {name: _weight(name, size, mixing) for name, size in sizes.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def epoch_size(sizes: Mapping[str, int], mixing: Mixing) -> int:
    """Examples of one epoch: all of a single task; in a mixture no more of a task than its cap, where there is one.

    So counts the trainer of Phang et al. (jiant): a task that is drawn as if it were smaller makes no epoch longer.
    """
    is_capped = len(sizes) > 1 and mixing.weighting in ("capped", "temperature")
    return sum(min(size, mixing.cap) if is_capped else size for size in sizes.values())


def _weight(name: str, size: int, mixing: Mixing) -> Fraction:
    if mixing.weighting == "explicit":
        assert mixing.weights is not None
        return Fraction(str(mixing.weights[name]))
    if mixing.weighting == "uniform":
        return Fraction(1)
    if mixing.weighting == "proportional":
        return Fraction(size)
    if mixing.weighting == "capped":
        return Fraction(min(size, mixing.cap))
    # Roots differ in their last bits between machines; plans must not.
    return Fraction(round(min(size, mixing.cap) ** (1 / mixing.temperature) * _RESOLUTION), _RESOLUTION)


def quotas(num_draws: int, share: Sequence[Fraction]) -> list[int]:
    """How many of the first `num_draws` draws belong to each task.

    Each task takes the floor of its part of what the tasks before it left over. A floor of a non-decreasing number
    times a share <= 1 never falls and never grows faster than that number, so every quota is monotone in
    `num_draws`, the quotas add up exactly, and the quota of any step is a difference of two calls: no history.
    Each stays within len(share) of its true share.
    """
    left = num_draws
    taken = []
    for numerator, denominator in _parts_of_rest(tuple(share)):
        take = left * numerator // denominator
        taken.append(take)
        left -= take
    return [*taken, left]


@lru_cache(maxsize=64)
def _parts_of_rest(share: tuple[Fraction, ...]) -> list[tuple[int, int]]:
    """What each task but the last takes of what those before it left, as numerator and denominator."""
    rest = [1 - sum(share[:i]) for i in range(len(share) - 1)]
    return [(part / left).as_integer_ratio() for part, left in zip(share[:-1], rest, strict=True)]
