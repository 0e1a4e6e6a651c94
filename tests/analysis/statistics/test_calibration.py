"""A corner of the grid of `benchmarks/calibrate.py`: the tools hold their error rates, usual ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from calibration import TOOLS, measure
from nulls import SCENARIOS
from usual_tools import USUAL_TOOLS

NUM_TABLES = 2000
NONE, SEEDS, LANGUAGES, BOTH, TAILS, COLLAPSES, FAMILIES = SCENARIOS


@pytest.mark.parametrize("scenario", [NONE, BOTH, TAILS, FAMILIES], ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_gives_a_verdict_holds_its_error_rates(name: str, scenario: object) -> None:
    rates = measure(TOOLS[name], scenario, NUM_TABLES, 10, 20)  # type: ignore[arg-type]
    assert rates.verdicts == 1.0
    assert rates.false_alarms <= 0.063
    assert rates.coverage >= 0.937
    assert 0.77 <= rates.power <= 0.85


@pytest.mark.parametrize("name", TOOLS)
def test_three_seeds_get_no_verdict(name: str) -> None:
    rates = measure(TOOLS[name], BOTH, 200, 3, 6)
    assert (rates.verdicts, rates.false_alarms) == (0.0, 0.0)


def test_collapses_that_leave_fewer_than_five_seeds_take_the_verdict_with_them() -> None:
    rates = measure(TOOLS["mean in these languages: t over seeds"], COLLAPSES, NUM_TABLES, 5, 6)
    # All five pairs stand with probability 0.95 ** 10.
    assert rates.verdicts == pytest.approx(0.599, abs=0.03)
    assert rates.coverage >= 0.937


@pytest.mark.parametrize(
    ("name", "scenario", "num_seeds", "num_languages", "at_least"),
    [
        ("regression of rows on a property of the task", BOTH, 5, 6, 0.5),
        ("Brown-Forsythe over cells", SEEDS, 10, 20, 0.25),
        ("seeds permuted, deviations from means", TAILS, 5, 20, 0.09),
        ("percentile bootstrap of 3 seeds, these languages", SEEDS, 3, 6, 0.15),
        ("all cells as independent, languages like these", BOTH, 5, 20, 0.3),
        ("t over seeds, languages like these", BOTH, 10, 20, 0.1),
        ("crossed random effects, families ignored", FAMILIES, 10, 20, 0.1),
    ],
)
def test_a_tool_in_common_use_fails_the_same_grid(
    name: str, scenario: object, num_seeds: int, num_languages: int, at_least: float
) -> None:
    calls = USUAL_TOOLS[name](scenario, np.random.default_rng(0), 500, num_seeds, num_languages)  # type: ignore[arg-type]
    assert calls.mean() > at_least


def test_the_cellwise_test_is_right_where_cells_are_independent() -> None:
    """The grid finds the tool out where seeds move all languages, and only there."""
    calls = USUAL_TOOLS["Brown-Forsythe over cells"](NONE, np.random.default_rng(0), 2000, 10, 20)
    assert calls.mean() <= 0.063
