"""Families as the unit, and the mean without each."""

from __future__ import annotations

import numpy as np
import pytest

from xstilts.analysis.statistics.families import family_means, without_each_family
from xstilts.analysis.statistics.mean import seed_mean

CHANGES = np.array([[1.0, 2.0, 6.0, 9.0], [3.0, 4.0, 0.0, 1.0]])


def test_every_family_counts_once() -> None:
    assert family_means(CHANGES, "abaa").tolist() == [[16 / 3, 2.0], [4 / 3, 4.0]]
    assert family_means(CHANGES, "abcd").tolist() == CHANGES.tolist()


def test_without_each_family() -> None:
    found = without_each_family(CHANGES, "abaa", seed_mean)
    assert {family: float(estimate.effect) for family, estimate in found.items()} == {
        "a": 3.0,
        "b": pytest.approx(20 / 6),
    }
    assert without_each_family(CHANGES, "aaaa", seed_mean) == {}
