"""What is a spike, what is said of a skipped step, and when the run has to end."""

from __future__ import annotations

import json

import pytest

from xstilts.training.monitors.health import WINDOW, Health, Suspect

SUSPECTS = [Suspect(1, "beta", 3, ("mnli/17", "squad_v2/x"))]


def settled(policy: str = "skip", max_skips: int = 3) -> Health:
    """A full window whose losses alternate between 1 and 3: mean 2, standard deviation 1, so a spike is above 8."""
    health = Health(policy, max_skips, {})  # type: ignore[arg-type]
    for step in range(WINDOW):
        assert health.passed(step, 1.0 if step % 2 else 3.0) is None
    return health


@pytest.mark.parametrize(("loss", "spike"), [(8.0, False), (8.001, True), (-100.0, False)])
def test_spike_is_six_standard_deviations_above_the_window(loss: float, spike: bool) -> None:
    health = settled()
    said = health.passed(200, loss)
    assert (said is not None) == spike
    assert health.counts()["health/loss_spikes"] == spike
    if said:
        assert said == "loss spike at step 200: 8.0010 after a mean of 2.0000 (sd 1.0000) over 128 steps"


def test_no_spike_before_the_window_is_full() -> None:
    health = Health("skip", 3, {})
    for step in range(WINDOW - 1):
        health.passed(step, 1.0 if step % 2 else 3.0)
    assert health.passed(WINDOW, 1000.0) is None


def test_constant_losses_have_no_spikes() -> None:
    health = Health("skip", 3, {})
    for step in range(WINDOW):
        health.passed(step, 0.0)
    assert health.passed(WINDOW, 1e-30) is None


def test_window_forgets_what_is_older() -> None:
    health = settled()
    for step in range(WINDOW):
        health.passed(step, 101.0 if step % 2 else 103.0)
    assert health.counts()["health/loss_spikes"] > 0
    found = health.counts()["health/loss_spikes"]
    assert health.passed(300, 107.9) is None
    assert health.passed(301, 109.0)
    assert health.counts()["health/loss_spikes"] == found + 1


def test_skipped_loss_is_not_in_the_window() -> None:
    health = settled()
    health.skipped(200, "loss", SUSPECTS)
    assert health.passed(201, 8.001)


def test_resumed_run_judges_the_same() -> None:
    health, twin = settled(), settled()
    for one in (health, twin):
        one.passed(130, 0.1 + 0.2)
        one.passed(131, 50.0)
        one.overflowed(132)
        one.skipped(133, "loss", SUSPECTS)
    resumed = Health("skip", 3, json.loads(json.dumps(health.carry())))
    assert resumed.carry() == twin.carry()
    assert resumed.skipped(134, "gradient", SUSPECTS) == twin.skipped(134, "gradient", SUSPECTS)
    assert resumed.passed(135, 55.0) == twin.passed(135, 55.0)
    assert resumed.counts() == twin.counts()


def test_skips_are_named_and_counted() -> None:
    health = Health("skip", 3, {})
    said = health.skipped(12, "loss", SUSPECTS)
    assert (
        said
        == "step 12 is skipped, its loss is not finite: mnli/17, squad_v2/x on rank 1 (beta) (1 in a row, 1 in all)"
    )
    assert health.stop_reason is None
    health.passed(13, 1.0)
    assert health.skipped(14, "gradient", SUSPECTS).endswith("(1 in a row, 2 in all)")
    many = [Suspect(rank, "alpha", rank, tuple(f"mnli/{rank}{i}" for i in range(6))) for rank in (0, 1)]
    said = health.skipped(15, "gradient", many)
    assert "mnli/10, mnli/11 and 4 more on rank 0 (alpha), rank 1 (alpha) (2 in a row, 3 in all)" in said


def test_run_ends_after_so_many_skips_in_a_row() -> None:
    health = Health("skip", 2, {})
    health.skipped(1, "loss", SUSPECTS)
    health.passed(2, 1.0)
    health.skipped(3, "loss", SUSPECTS)
    assert health.stop_reason is None
    health.skipped(4, "loss", SUSPECTS)
    assert health.stop_reason == "runtime.max_skips is 2: mend the data or lower training.lr"


def test_policy_may_be_to_stop_at_once() -> None:
    health = Health("stop", 10, {})
    health.passed(1, 1.0)
    assert health.stop_reason is None
    health.skipped(2, "loss", SUSPECTS)
    assert health.stop_reason is not None
    assert "runtime.on_nonfinite=skip" in health.stop_reason


def test_search_for_a_loss_scale_ends_no_run() -> None:
    health = Health("stop", 1, {})
    for step in range(20):
        health.overflowed(step)
    assert health.stop_reason is None
    assert health.counts() == {"health/skipped_steps": 0, "health/loss_scale_overflows": 20, "health/loss_spikes": 0}
