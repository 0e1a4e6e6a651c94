"""Who is slow, worked out by hand."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from xstilts.training.monitors.collectives import CollectiveClock
from xstilts.training.monitors.stragglers import RankTime, StepClock, find_straggler, scalars

# Work (step less exchange): 1.0, 1.2, 2.4 s.
TIMES = [
    RankTime(0, "alpha", step=2.5, data=0.1, exchange=1.5, flops=1e9, memory=3 * 2**30),
    RankTime(1, "alpha", step=2.5, data=0.2, exchange=1.3, flops=1e9),
    RankTime(2, "beta", step=2.5, data=0.5, exchange=0.1, flops=1e9),
]


def test_slowest_rank_is_named_with_its_host() -> None:
    # The others' median is 1.1 s; 2.4 / 1.1 = 2.18.
    said = find_straggler(TIMES, percent=100)
    assert said is not None
    assert said.startswith(
        "rank 2 (beta) is 118 % slower than the others: it works 2.400 s per step against their 1.100 s"
    )
    assert said.endswith("waiting for data in 0.500 s of them")
    assert find_straggler(TIMES, percent=119) is None


def test_a_larger_load_explains_longer_work() -> None:
    # Rank 2 has twice the load and takes 2.4 s against 1.1 s: 9 % longer than twice as long.
    loaded = [*TIMES[:2], replace(TIMES[2], flops=2e9)]
    assert find_straggler(loaded, percent=10) is None
    assert "is 9 % slower" in str(find_straggler(loaded, percent=5))
    assert "with 2.00 times their load" in str(find_straggler(loaded, percent=5))


def test_a_smaller_load_excuses_nothing() -> None:
    assert "is 118 % slower" in str(find_straggler([*TIMES[:2], replace(TIMES[2], flops=1e8)], percent=100))


def test_a_rank_with_something_to_do_is_not_compared_with_idle_ones() -> None:
    assert find_straggler([replace(time, flops=0.0) for time in TIMES[:2]] + TIMES[2:], percent=1) is None


def test_of_two_ranks_the_slower_is_compared_with_the_other() -> None:
    assert find_straggler(TIMES[:2], percent=19) is not None
    assert find_straggler(TIMES[:2], percent=21) is None


def test_one_rank_is_no_straggler() -> None:
    assert find_straggler(TIMES[:1], percent=0) is None


def test_curves() -> None:
    assert scalars(TIMES) == pytest.approx(
        {
            "time/step": 2.5,
            "time/work_slowest": 2.4,
            "time/work_median": 1.2,
            "time/data_slowest": 0.5,
            "time/exchange_mean": 2.9 / 3,
            "time/exchange_share": 2.9 / 3 / 2.5,
            "memory/peak_gib": 3.0,
        }
    )


def test_clock_splits_a_step() -> None:
    collectives = CollectiveClock()
    clock = StepClock(4, "gamma", collectives)
    begun = time.perf_counter()
    for _ in range(2):
        with clock.step():
            clock.load(3e9)
            with clock.data():
                time.sleep(0.03)
            with collectives.measure():
                time.sleep(0.04)
            with clock.exchange():
                time.sleep(0.05)
        time.sleep(0.06)  # between steps
        with collectives.measure():  # of an evaluation, say
            time.sleep(0.01)
    elapsed = time.perf_counter() - begun
    found = clock.report()
    assert (found.rank, found.host) == (4, "gamma")
    assert clock.seconds >= 0.12
    assert 0.12 <= found.step <= elapsed / 2 - 0.07
    assert found.data >= 0.03
    assert found.exchange >= 0.09
    assert found.flops == 3e9
    assert found.data + found.exchange <= found.step
    assert clock.report().step == 0.0
