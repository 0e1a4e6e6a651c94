"""Truth from outside: 100 published runs on MNLI and HANS (tommccoy1/hans, MIT)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from xstilts.analysis.statistics.answer import Verdict, judge
from xstilts.analysis.statistics.spread_question import spread_finding
from xstilts.analysis.statistics.table import Table

MNLI = ("MNLI dev acc.",)
HANS = ("Lexical (nonent)", "Subseq (nonent)", "Constituent (nonent)")


@pytest.fixture(scope="module")
def runs() -> list[dict[str, str]]:
    with Path(__file__).with_name("hans_runs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def arm(runs: list[dict[str, str]], cells: tuple[str, ...], chosen: range) -> Table:
    values = [[100 * float(runs[i][cell]) for cell in cells] for i in chosen]
    return Table(np.array(values), tuple(chosen), cells)


def test_the_columns_are_those_that_their_authors_describe(runs: list[dict[str, str]]) -> None:
    mnli = arm(runs, MNLI, range(100)).values
    # The file's own rows of means and standard deviations.
    assert mnli.mean() == pytest.approx(84.3392765)
    assert mnli.std(ddof=1) == pytest.approx(0.241974, rel=0.01)


def test_hans_varies_more_than_its_items_would_and_mnli_does_not(runs: list[dict[str, str]]) -> None:
    """The items' part is what as many runs of equal accuracy would show: binomial, 9,815 items and 5,000 a case."""
    generator = np.random.default_rng(0)
    for cells, num_items, larger in ((HANS, 5000, True), (MNLI, 9815, False)):
        mine = arm(runs, cells, range(10))
        noise = generator.binomial(num_items, mine.values.mean(axis=0) / 100, mine.values.shape) / num_items
        answer = judge(spread_finding("seeds / items", mine, Table(100 * noise, mine.seeds, cells), matters=1.5))
        assert (answer.verdict is Verdict.YES and answer.effect > 1) == larger


def test_hans_varies_more_than_mnli_in_any_ten_runs(runs: list[dict[str, str]]) -> None:
    for start in range(0, 100, 20):
        mine, others = range(start, start + 10), range(start + 10, start + 20)
        finding = spread_finding("HANS / MNLI", arm(runs, HANS, mine), arm(runs, MNLI, others), matters=1.5)
        answer = judge(finding)
        assert answer.verdict is Verdict.YES
        assert answer.interval[0] > 5


@pytest.mark.parametrize("cells", [MNLI, HANS], ids=["MNLI", "HANS"])
def test_runs_of_one_evaluation_do_not_differ_in_spread(runs: list[dict[str, str]], cells: tuple[str, ...]) -> None:
    halves = range(50), range(50, 100)
    finding = spread_finding("halves", *(arm(runs, cells, half) for half in halves), matters=1.5)
    assert judge(finding).verdict is not Verdict.YES
