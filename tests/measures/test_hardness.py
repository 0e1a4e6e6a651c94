"""Hardness of items by hand: two visits too few, three visits, a target more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xstilts.measures.hardness import Measure, hardness
from xstilts.measures.task_visits import TaskVisits

VISITS = TaskVisits(
    ids=np.array(["a", "b", "a", "c", "a", "c", "c"], dtype=object),
    visit=np.array([0, 0, 1, 0, 2, 1, 2]),
    nll=np.array([1.0, 9.0, 2.0, 4.0, 3.0, 4.0, 4.0]),
    p_gold=np.array([0.2, 0.1, 0.4, 0.5, 0.9, 0.5, 0.5]),
    num_targets=np.array([1, 1, 1, 2, 1, 2, 2]),
    num_not_finite=0,
)


@pytest.mark.parametrize(
    ("measure", "of_a", "of_c"),
    [
        ("confidence", -0.5, -0.5),
        ("nll", 2.0, 2.0),
        ("variability", math.sqrt((0.09 + 0.01 + 0.16) / 3), 0.0),
        ("v_information", 2 / math.log(2) - 1, (4 / math.log(2) - 3) / 2),
    ],
)
def test_by_hand(measure: Measure, of_a: float, of_c: float) -> None:
    found = hardness(VISITS, measure, ["c", "b", "a", "never drawn"], {"a": 1.0, "b": 1.0, "c": 3.0})
    assert list(found) == ["c", "b", "a", "never drawn"]
    assert found["a"] == pytest.approx(of_a) and found["c"] == pytest.approx(of_c)
    assert math.isnan(found["b"]) and math.isnan(found["never drawn"])
