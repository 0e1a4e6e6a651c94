from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

from xstilts.config.training import Mixing
from xstilts.core.seeds import derive_seed, permute
from xstilts.data.plan import _BLOCK, BatchPlan, _order

SIZES = {"qqp": 50, "ccg": 20, "mnli": 30}


def plan(sizes: dict[str, int] = SIZES, *, seed: int = 0, batch_size: int = 10, **mixing: Any) -> BatchPlan:
    return BatchPlan(seed, sizes, Mixing(**({"weighting": "proportional"} | mixing)), batch_size)


def test_every_epoch_visits_each_example_once() -> None:
    made = plan(batch_size=7)  # 7 divides no epoch: steps straddle them
    drawn: dict[str, list[int]] = {name: [] for name in SIZES}
    for step in range(100):
        for draws in made.step(step):
            assert draws.turns[0] == len(drawn[draws.task])
            assert np.ptp(draws.turns) == len(draws.turns) - 1
            drawn[draws.task] += draws.rows.tolist()
    for name, size in SIZES.items():
        epochs = [drawn[name][i : i + size] for i in range(0, len(drawn[name]) - size + 1, size)]
        assert len(epochs) >= 6
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
        assert epochs[0] != epochs[1]


def test_random_access_equals_sequential() -> None:
    def rows(step: int) -> list[tuple[str, list[int]]]:
        return [(draws.task, draws.rows.tolist()) for draws in plan().step(step)]

    in_order = [rows(step) for step in range(30)]
    _order.cache_clear()
    backwards = {step: rows(step) for step in reversed(range(30))}
    assert [backwards[step] for step in range(30)] == in_order


def test_shares_over_steps() -> None:
    counts: Counter[str] = Counter()
    for step in range(100):
        counts.update({draws.task: len(draws.rows) for draws in plan().step(step)})
    assert counts == {"qqp": 500, "ccg": 200, "mnli": 300}
    assert all(sum(plan().drawn(step).values()) == 10 for step in range(20))


def test_by_batch_one_task_per_step() -> None:
    made = plan(by="batch")
    tasks = [{draws.task for draws in made.step(step)} for step in range(100)]
    assert all(len(names) == 1 for names in tasks)
    assert Counter(name for names in tasks for name in names) == {"qqp": 50, "ccg": 20, "mnli": 30}


@pytest.mark.parametrize(
    ("mixing", "expected"),
    [
        ({"weighting": "uniform"}, {"qqp": 1 / 3, "ccg": 1 / 3, "mnli": 1 / 3}),
        ({"weighting": "capped", "cap": 20}, {"qqp": 1 / 3, "ccg": 1 / 3, "mnli": 1 / 3}),
        ({"weighting": "capped", "cap": 30}, {"qqp": 30 / 80, "ccg": 20 / 80, "mnli": 30 / 80}),
        ({"weighting": "temperature", "temperature": 2.0, "cap": 20}, {"qqp": 1 / 3, "ccg": 1 / 3, "mnli": 1 / 3}),
        (
            {"weighting": "explicit", "weights": {"qqp": 1, "ccg": 8, "mnli": 1}},
            {"qqp": 0.1, "ccg": 0.8, "mnli": 0.1},
        ),
    ],
)
def test_weightings(mixing: dict[str, Any], expected: dict[str, float]) -> None:
    taken = plan(**mixing).taken(240)  # 2400 draws
    assert all(abs(taken[name] - 2400 * share) <= len(SIZES) for name, share in expected.items())


def test_seeds_and_epochs_order_differently() -> None:
    sizes = {"qqp": 1000}
    orders = [
        tuple(plan(sizes, seed=seed, batch_size=1000).step(epoch)[0].rows.tolist())
        for seed in (0, 1)
        for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4


def test_rows_are_those_of_the_permutation_that_the_epoch_names() -> None:
    """Across the blocks in which they are looked up, and across epochs."""
    size, batch_size = 3 * _BLOCK + 5, 1000
    made = plan({"qqp": size}, seed=2, batch_size=batch_size)
    rows = np.concatenate([made.step(step)[0].rows for step in range(20)])
    turns = np.arange(20 * batch_size)
    orders = [permute(np.arange(size), size, derive_seed(2, "qqp", epoch)) for epoch in (0, 1)]
    assert rows.tolist() == np.concatenate(orders)[turns].tolist()


def test_fingerprint_tells_plans_apart() -> None:
    base = plan().fingerprint(100)
    assert plan().fingerprint(100) == base
    others = [
        plan(seed=1),
        plan(batch_size=11),
        plan({**SIZES, "qqp": 51}),
        plan(weighting="uniform"),
        plan(by="batch"),
    ]
    assert len({base, *(other.fingerprint(100) for other in others)}) == 6


def test_a_late_step_costs_what_the_first_costs() -> None:
    made = plan({"qqp": 363_846, "mnli": 392_702}, batch_size=256)
    made.step(0)

    def seconds(step: int) -> float:
        begun = time.perf_counter()
        made.step(step)
        return time.perf_counter() - begun

    first = min(seconds(step) for step in range(20))
    late = min(seconds(10**9 + step) for step in range(20))
    assert late < 3 * first + 0.002
