"""Which curves belong together."""

from __future__ import annotations

import pytest

from xstilts.analysis.learning import arm_and_place, targets_of


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("pretraining", ("pretraining", "pretraining")),
        ("nine-2", ("nine-2", "intermediate")),
        ("v1.5.udpos", ("v1.5", "udpos")),
        ("nine.xcopa-2", ("nine", "xcopa-2")),
        ("nine.my-own-task", ("nine", "my-own-task")),
        ("nine.my-own-task-1", ("nine", "my-own-task-1")),
        ("nine.unheard-of", ("nine.unheard-of", "intermediate")),
    ],
)
def test_a_stage_has_its_place(label: str, expected: tuple[str, str]) -> None:
    assert arm_and_place(label, targets_of(None) | {"my-own-task"}) == expected
