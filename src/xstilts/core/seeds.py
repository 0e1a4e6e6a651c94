"""Randomness as a pure function of names: seeds, and permutations that can be entered anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

_NUM_ROUNDS = 6
_GAMMA = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: how far SplitMix64's state moves from one output to the next."""


def derive_seed(*names: object) -> int:
    """A 63-bit seed from names and numbers; the same on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def splitmix64(seed: int, numbers: np.ndarray) -> np.ndarray:
    """64 random bits each, uint64: of the seed's SplitMix64 sequence (Steele, Lea and Flood 2014) the outputs with
    these numbers, int64 from 0 on. Any of them costs the same: there is no generator to be made or moved."""
    states = numbers.view(np.uint64) * np.uint64(_GAMMA)
    states += np.uint64((seed + _GAMMA) & 0xFFFFFFFFFFFFFFFF)
    return _finalise(states)


def permute(index: np.ndarray, size: int, key: int) -> np.ndarray:
    """Images of `index` (int64, each in [0, size)) under the permutation of [0, size) that `key` names.

    A Feistel network over the next even number of bits, walked until the image falls inside the range: constant
    time and memory per element, so an epoch's order needs no stored permutation (Black and Rogaway 2002).
    """
    if size <= 1:
        return np.zeros_like(index)
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    rounds = _rounds(half, key, num_values=len(index))
    image = _feistel(index, half, rounds)
    (outside,) = (image >= size).nonzero()
    while len(outside):
        walked = _feistel(image[outside], half, rounds)
        image[outside] = walked
        outside = outside[walked >= size]
    return image


_Round = Callable[[np.ndarray], np.ndarray]


def _rounds(half: int, key: int, num_values: int) -> list[_Round]:
    """The network's functions from `half` bits to as many, int64: tables where at least as many values come as these
    have places."""
    keys = [np.uint64((key + i * _GAMMA) & 0xFFFFFFFFFFFFFFFF) for i in range(_NUM_ROUNDS)]
    mask = np.uint64((1 << half) - 1)

    def computed(key: np.uint64) -> _Round:
        return lambda right: (_finalise(right.view(np.uint64) + key) & mask).view(np.int64)

    if 1 << half > num_values:
        return [computed(key) for key in keys]
    every = np.arange(1 << half)
    return [computed(key)(every).take for key in keys]


def _feistel(value: np.ndarray, half: int, rounds: list[_Round]) -> np.ndarray:
    left, right = value >> half, value & ((1 << half) - 1)
    for scramble in rounds:
        left, right = right, left ^ scramble(right)
    return (left << half) | right


def _finalise(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser, in wrapping arithmetic and in place."""
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z
