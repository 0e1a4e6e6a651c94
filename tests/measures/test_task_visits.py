from __future__ import annotations

import math

import pyarrow as pa

from xstilts.measures.task_visits import visits_of
from xstilts.measures.visits import SCHEMA

ROWS = [
    ("nli", "a", 0, 0, 1.0, 0.5, 1),
    ("qa", "a", 0, 0, 2.0, 0.1, 3),
    ("nli", "b", 1, 0, math.nan, 0.5, 1),
    ("nli", "a", 2, 1, 0.5, 0.6, 1),
    ("nli", "c", 2, 0, math.inf, 0.0, 1),
    ("nli", "b", 3, 1, 0.25, 0.75, 1),
]


def table() -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in ROWS], schema=SCHEMA)


def test_of_one_task_in_order_of_steps() -> None:
    visits = visits_of(table(), "nli")
    assert visits.ids.tolist() == ["a", "a", "b"]
    assert visits.visit.tolist() == [0, 1, 1]
    assert visits.nll.tolist() == [1.0, 0.5, 0.25]
    assert visits_of(table(), "qa").num_targets.tolist() == [3]


def test_losses_that_are_not_finite_are_left_out_and_counted() -> None:
    assert visits_of(table(), "nli").num_not_finite == 2


def test_first_visits() -> None:
    first = visits_of(table(), "nli").first()
    assert first.ids.tolist() == ["a"] and first.p_gold.tolist() == [0.5]


def test_a_task_that_was_not_trained() -> None:
    assert len(visits_of(table(), "other").ids) == 0
