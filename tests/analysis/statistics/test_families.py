"""Families as the unit, and the mean without each."""

from __future__ import annotations

import numpy as np

from xstilts.analysis.statistics.answer import Estimand, Verdict, judge
from xstilts.analysis.statistics.families import family_means, without_each_family
from xstilts.analysis.statistics.mean_question import mean_finding
from xstilts.analysis.statistics.table import Table

CHANGES = np.array([[1.0, 2.0, 6.0, 9.0], [3.0, 4.0, 0.0, 1.0]])


def test_every_family_counts_once() -> None:
    assert family_means(CHANGES, "abaa").tolist() == [[16 / 3, 2.0], [4 / 3, 4.0]]
    assert family_means(CHANGES, "abcd").tolist() == CHANGES.tolist()


def test_without_each_family() -> None:
    table = Table(CHANGES, (0, 1), tuple("wxyz"))
    found = without_each_family(table, dict(zip("wxyz", "abaa", strict=True)))
    assert {family: left.languages for family, left in found.items()} == {"a": ("x",), "b": ("w", "y", "z")}
    assert found["a"].values.tolist() == [[2.0], [4.0]]
    assert found["b"].set_aside == ("Without b, languages: 1.",)
    assert without_each_family(table, dict.fromkeys("wxyz", "a")) == {}


def test_a_mean_that_one_family_carries_is_shown_to_be() -> None:
    generator = np.random.default_rng(0)
    values = generator.standard_normal((10, 8)) + np.repeat([0.0, 12.0], [6, 2])
    families = dict(zip("abcdefgh", "tuvwxyzz", strict=True))
    table = Table(values, tuple(range(10)), tuple("abcdefgh"))

    def verdict(changes: Table) -> Verdict:
        return judge(
            mean_finding("nli", changes, estimand=Estimand.THESE_LANGUAGES, families=families, matters=1)
        ).verdict

    assert verdict(table) is Verdict.YES
    without = {family: verdict(left) for family, left in without_each_family(table, families).items()}
    assert without.pop("z") is Verdict.NO_LARGER
    assert set(without.values()) == {Verdict.YES}
