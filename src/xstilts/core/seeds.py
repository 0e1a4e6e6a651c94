"""Randomness as a pure function of names: seeds, and permutations that can be entered anywhere."""

from __future__ import annotations

import hashlib

import numpy as np

_NUM_ROUNDS = 6


def derive_seed(*names: object) -> int:
    """A 63-bit seed from names and numbers; the same on every machine."""
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def permute(index: np.ndarray, size: int, key: int) -> np.ndarray:
    """Images of `index` (int64, each in [0, size)) under the permutation of [0, size) that `key` names.

    A Feistel network over the next even number of bits, walked until the image falls inside the range: constant
    time and memory per element, so an epoch's order needs no stored permutation (Black and Rogaway 2002).
    """
    if size <= 1:
        return np.zeros_like(index)
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    image = index.astype(np.uint64)
    todo = np.ones(len(image), dtype=bool)
    while todo.any():
        image[todo] = _feistel(image[todo], half, key)
        todo = image >= size
    return image.astype(np.int64)


def _feistel(value: np.ndarray, half: int, key: int) -> np.ndarray:
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = value >> bits, value & mask
    for i in range(_NUM_ROUNDS):
        left, right = right, left ^ (_mix(right, (key + i * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF) & mask)
    return (left << bits) | right


def _mix(value: np.ndarray, key: int) -> np.ndarray:
    """SplitMix64's finaliser over value and key, in wrapping arithmetic."""
    z = value + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
