"""Adapters in a frozen encoder, heads alone, switched text and averaged weights: equal to plain PyTorch, and resumed.

`make proof-stage-keys` is the whole matrix of keys, ZeRO stages and ranks, with kills.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
from stage_keys import FROZEN, Case, deviation, equal_bit_for_bit, name_of, reference, run_cases

pytestmark = pytest.mark.timeout(900)  # a launch serves many tests, and the cores may be shared

CASES: tuple[Case, ...] = (
    ("adapters", 2, "fp32"),
    ("adapters", 3, "bf16"),
    ("heads", 3, "fp32"),
    ("code_switch", 1, "fp32"),
    ("average", 3, "fp32"),
)
TOLERANCE = 1e-5
BF16_TOLERANCE = 0.02
"""Of a loss. Weights are not held: where a gradient is below its rounding, Adam takes whole steps in any direction."""


@functools.cache
def trained(world: Path, folder: Path) -> Path:
    """One launch serves all tests."""
    run_cases(2, world, folder, CASES, resumed=CASES[:1])
    return folder


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "stage_keys"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_training_equals_plain_pytorch_and_the_frozen_stays(tiny_world: Path, folder: Path, case: Case) -> None:
    key, _, precision = case
    found = deviation(tiny_world, trained(tiny_world, folder) / name_of(case), key)
    if precision == "bf16":
        assert found.loss < BF16_TOLERANCE
    else:
        assert max(found.loss, found.weight) < TOLERANCE
    assert found.changed == found.unmoved == ()
    assert found.num_frozen == (37 + 8 if key in FROZEN else 0)
    assert key != "adapters" or sum(".adapters.1." in name for name in reference(tiny_world, key)[1]) == 2 * 4


def test_an_interrupted_stage_ends_bit_for_bit_as_one_that_was_not(tiny_world: Path, folder: Path) -> None:
    whole = trained(tiny_world, folder) / name_of(CASES[0])
    assert equal_bit_for_bit(whole.with_name(f"{whole.name}-resumed"), whole)
