"""From tables to findings: the right estimand, the right unit, and what is lacking."""

from __future__ import annotations

import numpy as np
import pytest

from xstilts.analysis.statistics.answer import Estimand, Remedy, Unit, Verdict, judge
from xstilts.analysis.statistics.items import ItemEstimate
from xstilts.analysis.statistics.mean_question import mean_finding
from xstilts.analysis.statistics.sentence import render
from xstilts.analysis.statistics.sign_flip import sign_flip_mean
from xstilts.analysis.statistics.slope_question import similarity_finding, task_finding
from xstilts.analysis.statistics.spread_question import spread_finding
from xstilts.analysis.statistics.table import Table
from xstilts.core.errors import UserError

LANGUAGES = tuple("abcdefgh")
APART = {language: language for language in LANGUAGES}
PAIRS = dict(zip(LANGUAGES, "wwxxyyzz", strict=True))


def table(
    num_seeds: int = 10, *, effect: float = 0.0, sd: float = 1.0, language_sd: float = 0.0, key: int = 0
) -> Table:
    generator = np.random.default_rng([num_seeds, key])
    values = effect + sd * generator.standard_normal((num_seeds, 8))
    return Table(values + language_sd * generator.standard_normal(8), tuple(range(num_seeds)), LANGUAGES)


def ask(changes: Table, estimand: Estimand, families: dict[str, str] | None = None, **fields: object):  # type: ignore[no-untyped-def]
    given = {"estimand": estimand, "families": families or APART, "matters": 1.0, **fields}
    return mean_finding("nli - none", changes, **given)  # type: ignore[arg-type]


def test_a_clear_change_is_called_and_its_absence_bounded() -> None:
    for estimand in (Estimand.THESE_LANGUAGES, Estimand.LANGUAGES_LIKE_THESE):
        assert judge(ask(table(effect=2.0), estimand)).verdict is Verdict.YES
        assert judge(ask(table(), estimand)).verdict is Verdict.NO_LARGER


def test_languages_that_differ_ask_for_languages_and_not_for_seeds() -> None:
    changes = table(language_sd=4.0)
    assert judge(ask(changes, Estimand.THESE_LANGUAGES)).verdict is not Verdict.CANNOT_TELL
    answer = judge(ask(changes, Estimand.LANGUAGES_LIKE_THESE))
    assert answer.verdict is Verdict.CANNOT_TELL
    assert answer.remedy is not None
    assert answer.remedy.unit is Unit.LANGUAGES


def test_seeds_that_differ_ask_for_seeds() -> None:
    answer = judge(ask(table(5, sd=6.0, key=2), Estimand.THESE_LANGUAGES))
    assert answer.remedy is not None
    assert answer.remedy.unit is Unit.SEEDS
    assert answer.remedy.more is not None
    assert answer.remedy.more > 5


def test_families_are_the_unit_of_languages_like_these() -> None:
    changes = table(effect=2.0)
    finding = ask(changes, Estimand.LANGUAGES_LIKE_THESE, PAIRS)
    assert finding.set_aside == ("The mean is over 4 language families, each counting once.",)
    assert finding.lacking is None
    assert float(np.asarray(finding.estimate.effect)) == pytest.approx(changes.values.mean())
    three = {**PAIRS, "g": "y", "h": "y"}
    assert ask(changes, Estimand.LANGUAGES_LIKE_THESE, three).lacking == Remedy(Unit.FAMILIES, 1)
    with pytest.raises(UserError, match="one language family"):
        ask(changes, Estimand.LANGUAGES_LIKE_THESE, dict.fromkeys(LANGUAGES, "x"))


def test_below_five_seeds_there_is_no_verdict() -> None:
    for num_seeds in (2, 3, 4):
        answer = judge(ask(table(num_seeds, effect=50.0), Estimand.THESE_LANGUAGES))
        assert answer.verdict is Verdict.CANNOT_TELL
        assert answer.remedy is not None
        assert answer.remedy.unit is Unit.SEEDS
        assert answer.remedy.more is not None
        assert answer.remedy.more >= 5 - num_seeds


def test_a_single_seed_has_the_interval_of_its_items_or_is_refused() -> None:
    changes = table(1, effect=5.0)
    items = ItemEstimate(np.array(5.0), np.random.default_rng(0).normal(5, 1, 2000))
    answer = judge(ask(changes, Estimand.LANGUAGES_LIKE_THESE, items=items))
    assert answer.estimand is Estimand.THESE_WEIGHTS
    assert answer.verdict is Verdict.CANNOT_TELL
    assert answer.interval == pytest.approx((3.04, 6.96), abs=0.2)
    with pytest.raises(UserError, match="one seed and no scores by item"):
        ask(changes, Estimand.THESE_LANGUAGES)


def test_two_seeds_that_agree_have_the_interval_of_their_items() -> None:
    agreeing = Table(np.array([[3.00], [3.01]]), (0, 1), ("a",))
    items = ItemEstimate(np.array(3.005), np.random.default_rng(0).normal(3, 1, 2000))
    alone = judge(ask(agreeing, Estimand.THESE_LANGUAGES))
    assert alone.interval[1] - alone.interval[0] < 0.2
    shown = judge(ask(agreeing, Estimand.THESE_LANGUAGES, items=items))
    assert shown.interval[1] - shown.interval[0] > 3.5


def test_five_seeds_are_judged_by_seeds_alone() -> None:
    items = ItemEstimate(np.array(0.0), np.random.default_rng(0).normal(0, 50, 2000))
    with_items = ask(table(5), Estimand.THESE_LANGUAGES, items=items)
    assert judge(with_items).interval == judge(ask(table(5), Estimand.THESE_LANGUAGES)).interval


def test_a_sign_flip_of_five_seeds_cannot_tell() -> None:
    clear = table(5, effect=20.0)
    assert judge(ask(clear, Estimand.THESE_LANGUAGES)).verdict is Verdict.YES
    assert judge(ask(clear, Estimand.THESE_LANGUAGES, over_seeds=sign_flip_mean)).verdict is Verdict.CANNOT_TELL
    assert judge(ask(table(6, effect=20.0), Estimand.THESE_LANGUAGES, over_seeds=sign_flip_mean)).verdict is Verdict.YES


def test_missing_cells_are_said_in_the_answer() -> None:
    changes = table(effect=2.0)
    changes.values[3, 2] = np.nan
    answer = judge(ask(changes, Estimand.THESE_LANGUAGES))
    assert answer.num_seeds == 9
    assert "Missing: 1 of 80 cells; without seed 3 9 seeds x 8 languages are complete." in render(answer)


def test_a_spread_three_times_as_large_is_called_and_an_equal_one_is_not() -> None:
    assert judge(spread_finding("nli / none", table(key=1, sd=3.0), table(), matters=1.5)).verdict is Verdict.YES
    same = judge(spread_finding("nli / none", table(key=1), table(), matters=1.5))
    assert same.verdict is not Verdict.YES
    assert judge(spread_finding("nli / none", table(5, sd=9.0), table(), matters=1.5)).remedy is not None
    with pytest.raises(UserError, match="does not vary"):
        spread_finding("nli / none", table(sd=0.0), table(), matters=1.5)


def tasks(num_tasks: int, slope: float) -> tuple[dict[str, Table], dict[str, float]]:
    difficulty = {f"t{i}": float(x) for i, x in enumerate(np.linspace(-1, 1, num_tasks))}
    return {task: table(effect=slope * x, key=i + 1) for i, (task, x) in enumerate(difficulty.items())}, difficulty


def test_a_slope_over_tasks() -> None:
    for slope, verdict in ((3.0, Verdict.YES), (0.0, Verdict.NO_LARGER)):
        tables, difficulty = tasks(9, slope)
        answer = judge(task_finding("difficulty", tables, difficulty, measure="points per SD", matters=1.0))
        assert (answer.verdict, answer.estimand) == (verdict, Estimand.TASKS_LIKE_THESE)
    four = task_finding("difficulty", *tasks(4, 3.0), measure="points per SD", matters=1.0)
    assert four.lacking == Remedy(Unit.TASKS, 1)
    with pytest.raises(UserError, match="three tasks that differ"):
        task_finding("difficulty", tables, dict.fromkeys(tables, 1.0), measure="points per SD", matters=1.0)


def test_a_slope_on_similarity() -> None:
    generator = np.random.default_rng(2)
    tables, _ = tasks(5, 1.0)
    similarity = {(task, language): float(generator.standard_normal()) for task in tables for language in LANGUAGES}
    linked = {
        task: Table(x.values + 2 * np.array([similarity[task, language] for language in LANGUAGES]), x.seeds, LANGUAGES)
        for task, x in tables.items()
    }
    families = dict.fromkeys(LANGUAGES, "x")

    def answer(found: dict[str, Table]) -> Verdict:
        finding = similarity_finding("chrF", found, similarity, families, measure="points per SD", matters=1.0)
        assert finding.lacking is None
        return judge(finding).verdict

    assert answer(linked) is Verdict.YES
    assert answer(tables) is Verdict.NO_LARGER
    lone = similarity_finding("chrF", linked, similarity, APART, measure="points per SD", matters=1.0)
    assert lone.lacking == Remedy(Unit.LANGUAGES, None)
    del similarity["t0", "b"]
    kept = similarity_finding("chrF", linked, similarity, families, measure="points per SD", matters=1.0)
    assert kept.num_languages == 7
    assert kept.set_aside == ("Without similarity, and left out: 1 of 8 languages.",)
    with pytest.raises(UserError, match="does not vary within tasks"):
        similarity_finding("x", tables, dict.fromkeys(similarity, 1.0), families, measure="points", matters=1.0)
