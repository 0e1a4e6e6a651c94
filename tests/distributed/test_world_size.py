"""A run goes on with another number of ranks, at another ZeRO stage, in another precision: what was saved comes back
bit by bit, and the losses go on as if nothing had happened, dropout on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import pytest
from legs import Leg, Legs, run_legs, run_unbroken

pytestmark = pytest.mark.timeout(900)  # a launch serves many tests, and the cores may be shared

NUM_STEPS = 3
TOLERANCE = 1e-5
STAGES = [(0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1), (3, 0, 1, 2)]
"""Every stage on every number of ranks, and from every stage to the next."""
FP32: list[Legs] = [((a, "fp32"), (b, "fp32"), (c, "fp32"), (d, "fp32")) for a, b, c, d in STAGES]
MIXED: list[Legs] = [((0, "fp32"), (1, "bf16"), (3, "bf16"), (2, "bf16"))]


@functools.cache
def legs(world: Path, folder: Path) -> Mapping[Legs, list[Leg]]:
    return run_legs(world, folder, [*FP32, *MIXED], NUM_STEPS)


@functools.cache
def unbroken(world: Path) -> list[float]:
    """At stage 0: the parity tests show that all stages are one within 1e-6."""
    return run_unbroken(world, [(0, "fp32")], NUM_STEPS)[0, "fp32"]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "legs"


@pytest.mark.parametrize("path", [*FP32, *MIXED], ids=str)
def test_what_was_saved_comes_back_bit_by_bit(tiny_world: Path, folder: Path, path: Legs) -> None:
    for leg in legs(tiny_world, folder)[path][1:]:
        assert leg.num_tensors > 100
        assert leg.different == []


@pytest.mark.parametrize("path", FP32, ids=str)
def test_losses_go_on_as_if_nothing_had_happened(tiny_world: Path, folder: Path, path: Legs) -> None:
    losses = [loss for leg in legs(tiny_world, folder)[path] for loss in leg.losses]
    assert max(abs(a - b) for a, b in zip(losses, unbroken(tiny_world), strict=True)) < TOLERANCE


@pytest.mark.parametrize("path", MIXED, ids=str)
def test_another_precision_goes_on_within_its_rounding(tiny_world: Path, folder: Path, path: Legs) -> None:
    losses = [loss for leg in legs(tiny_world, folder)[path] for loss in leg.losses]
    assert losses[:NUM_STEPS] == pytest.approx(unbroken(tiny_world)[:NUM_STEPS], abs=TOLERANCE)
    assert losses == pytest.approx(unbroken(tiny_world), rel=0.02), "bf16 has 8 bits: 0.4 % per rounding"
