"""Questions answered from rows made by hand."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_questions import BASE, SCORED, SEEDS, noise, plus, question, rows_of
from made_runs import NONE, record
from rich.console import Console
from scipy import stats

from xstilts.analysis.html import to_html
from xstilts.analysis.markdown import to_markdown
from xstilts.analysis.questions import Answers, answer
from xstilts.analysis.report import build, show
from xstilts.analysis.statistics.answer import Estimand, Unit, Verdict
from xstilts.evaluation.rows import Row, write_rows
from xstilts.study.provenance import Settings


def asked(rows: list[Row], *, seeds: Iterable[int] = SEEDS, **keys: Any) -> Answers:
    return answer(question(**keys), rows, SCORED, list(seeds))


OTHER = noise(2, 1.0)
NONE_ROWS = rows_of("none", BASE)
HELPS = [*NONE_ROWS, *rows_of("mixed", plus(OTHER, 4.0))]


def test_a_planted_effect_is_found_and_its_interval_is_that_of_a_paired_t_test() -> None:
    (found,) = asked(HELPS).answers
    assert found.verdict is Verdict.YES
    assert (found.num_seeds, found.num_languages, found.estimand) == (8, 5, Estimand.THESE_LANGUAGES)
    means = [[np.mean([score(seed, i) for i in range(1, 6)]) for seed in SEEDS] for score in (plus(OTHER, 4.0), BASE)]
    expected = stats.ttest_rel(*means).confidence_interval()
    assert found.interval == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.interval[0] < 4.0 < found.interval[1]


def test_a_planted_effect_is_found_in_languages_like_these() -> None:
    (found,) = asked(HELPS, estimand="languages_like_these").answers
    assert (found.verdict, found.estimand) == (Verdict.YES, Estimand.LANGUAGES_LIKE_THESE)


def test_a_null_is_not_called() -> None:
    small = [*rows_of("none", noise(3, 0.1)), *rows_of("mixed", plus(noise(4, 0.1), 0.0))]
    (none_there,) = asked(small).answers
    assert none_there.verdict is Verdict.NO_LARGER
    wide = [*rows_of("none", noise(3, 9.0)), *rows_of("mixed", plus(noise(4, 9.0), 0.0))]
    (unknown,) = asked(wide).answers
    assert unknown.verdict is Verdict.CANNOT_TELL
    assert unknown.remedy is not None and unknown.remedy.unit is Unit.SEEDS


@pytest.mark.parametrize("num_seeds", [1, 2, 4])
def test_too_few_seeds_give_an_interval_and_no_verdict(num_seeds: int) -> None:
    few = [row for row in HELPS if row.seed < num_seeds]
    (found,) = asked(few, seeds=range(num_seeds)).answers
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.remedy is not None and found.remedy.unit is Unit.SEEDS
    assert found.remedy.more is not None and found.remedy.more >= 5 - num_seeds
    # Never narrower than chance in the items: half-widths of 2 in either score.
    assert found.interval[1] - found.interval[0] >= 2 * 2**1.5 - 1e-6
    if num_seeds == 1:
        assert found.estimand is Estimand.THESE_WEIGHTS


def test_missing_cells_restrict_the_table_and_are_said() -> None:
    gone = {("mixed", 3, "swh_Latn"), *(("none", seed, "fin_Latn") for seed in SEEDS if seed != 2)}
    rows = [row for row in HELPS if (row.arm, row.seed, row.language) not in gone]
    (found,) = asked(rows, seeds=range(10)).answers
    assert (found.num_seeds, found.num_languages) == (7, 4)
    said = " ".join(found.set_aside)
    assert "No language is scored in mixed and none with seed 8, 9." in said
    assert "Missing: 8 of 40 cells; without seed 3, fin_Latn 7 seeds x 4 languages are complete." in said


def test_collapsed_runs_are_counted_apart() -> None:
    rows = [replace(row, value=4.0) if (row.arm, row.seed) == ("mixed", 2) else row for row in HELPS]
    (found,) = asked(rows).answers
    assert (found.num_seeds, found.verdict) == (7, Verdict.YES)
    assert "Collapsed: 1 of 8 runs of mixed, 0 of 8 runs of none; 1 of 8 seeds are counted apart." in found.set_aside


def test_where_every_run_collapsed_there_is_no_answer() -> None:
    rows = [*NONE_ROWS, *rows_of("mixed", lambda seed, i: 5.0)]
    found = asked(rows)
    assert not found.answers
    assert found.unanswered == (
        "No answer yet to H1 (mixed - none on xquad): no seed is left. Collapsed: 8 of 8 runs of mixed, 0 of 8 runs of "
        "none; 8 of 8 seeds are counted apart.",
    )


def test_an_unfinished_study_has_an_interval_and_no_verdict() -> None:
    """Five of eight planned seeds would do for a verdict and show a large effect: it waits for the other three."""
    contrasts = {"H1": {"arm": "mixed", "against": "none"}, "H2": {"arm": "small", "against": "none"}}
    rows = [row for row in HELPS if row.seed < 5] + rows_of("none", BASE, range(5, 8))
    rows += rows_of("small", plus(BASE, 0.7))
    unfinished, finished = asked(rows, contrasts=contrasts).answers
    assert (unfinished.verdict, unfinished.unfinished, unfinished.remedy) == (Verdict.NOT_YET, (5, 8), None)
    assert unfinished.interval[0] > 0
    # Its p-value opens no door in Holm's procedure to the others either.
    assert finished.level == 0.975
    assert finished.verdict is Verdict.NO_LARGER
    assert asked(rows, contrasts=contrasts).sentences()[0].startswith("Cannot tell yet: 5 of 8 seeds are done. H1 (")
    whole = asked([*rows, *rows_of("mixed", plus(OTHER, 4.0), range(5, 8))], contrasts=contrasts).answers
    assert [found.verdict for found in whole] == [Verdict.YES, Verdict.NO_LARGER]


def test_a_seed_that_lacks_one_language_is_not_done() -> None:
    rows = [row for row in HELPS if (row.arm, row.seed, row.language) != ("mixed", 3, "swh_Latn")]
    assert asked(rows).answers[0].unfinished == (7, 8)


def test_a_change_beyond_english_is_the_difference_of_both() -> None:
    """In each seed English changes by its own amount; the others by 4 more than it."""
    in_english = np.random.default_rng(9).normal(10, 3, 8)
    drawn = noise(10, 0.3)
    rows = [*NONE_ROWS]
    rows += rows_of("mixed", lambda seed, i: BASE(seed, i) + in_english[seed] + (4 + drawn(seed, i) - 50 if i else 0))
    (found,) = asked(rows, analysis="beyond_english").answers
    own = [np.mean([4 + drawn(seed, i) - 50 for i in range(1, 6)]) for seed in SEEDS]
    expected = stats.ttest_1samp(own, 0).confidence_interval()
    assert found.interval == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert (found.verdict, found.num_languages) == (Verdict.YES, 5)
    assert found.name == "H1 (mixed - none less that in English on xquad)"
    (plain,) = asked(rows).answers
    assert plain.effect == pytest.approx(np.mean(own) + in_english.mean())
    lacking = [row for row in rows if (row.arm, row.seed, row.language) != ("none", 2, "eng_Latn")]
    (without,) = asked(lacking, analysis="beyond_english").answers
    assert (without.num_seeds, without.unfinished) == (7, (7, 8))


def test_what_the_effect_is_without_each_family_stands_beside_it() -> None:
    """Swahili and Yoruba, of one family, gain 10, the other families nothing."""
    rows = [*NONE_ROWS, *rows_of("mixed", lambda seed, i: BASE(seed, i) + (10 if i in (1, 2) else 0))]
    (found,) = asked(rows).answers
    assert found.effect == pytest.approx(4.0)
    (said,) = found.beside
    assert said.startswith("Without one family it is +0.00 (Niger-Congo) to +5.00 (")


FAMILY = ("swh_Latn", "yor_Latn", "zul_Latn", "ibo_Latn", "wol_Latn", "kin_Latn")
"""Six languages of one family: 720 orders."""
TASKS = ("mnli", "squad", "ccg", "qqp")
SIMILARITY = np.random.default_rng(11).normal(0, 1, (len(TASKS), len(FAMILY)))


def slope_answers(slope: float, **keys: Any) -> Answers:
    """Changes by the task, the language, chance, and `slope` points per unit of similarity."""
    draw = np.random.default_rng(12)
    by_language = draw.normal(0, 0.3, len(FAMILY))
    rows = []
    for k, arm in enumerate(("none", *TASKS)):
        for seed in SEEDS:
            for i, key in enumerate(FAMILY):
                change = k + by_language[i] + slope * SIMILARITY[k - 1, i] if k else 0.0
                value = 50 + change + draw.normal(0, 0.5)
                cell = replace(NONE, arm=arm, seed=seed, language=key, value=value, low=value - 2, high=value + 2)
                rows.append(replace(cell, majority=None))
    on = {task: dict(zip(FAMILY, map(float, line), strict=True)) for task, line in zip(TASKS, SIMILARITY, strict=True)}
    slopes = {"H1": {"arms": list(TASKS), "against": "none", "of": "cosine", "measured": on}}
    asks = {"analysis": "slope", "contrasts": {}, "slopes": slopes, "estimand": "languages_like_these", **keys}
    return answer(question(**asks), rows, {"xquad": list(FAMILY)}, list(SEEDS))


def test_a_planted_slope_is_found_and_predicts_a_language_that_was_held_out() -> None:
    (found,) = slope_answers(2.0).answers
    assert (found.verdict, found.num_seeds, found.num_languages) == (Verdict.YES, 8, 6)
    assert found.interval[0] < 2.0 < found.interval[1]
    (predicted,) = found.beside
    numbers = [float(x) for x in re.findall(r"\d+\.\d\d", predicted)]
    assert numbers[0] < 0.6 * min(numbers[1:])
    assert found.name == "H1 (change against none by cosine, 4 tasks, on xquad)"


def test_no_slope_is_not_called() -> None:
    assert slope_answers(0.0).answers[0].verdict is Verdict.NO_LARGER


def test_a_slope_on_a_measure_of_tasks_has_them_as_its_unit() -> None:
    on = {task: float(k) for k, task in enumerate(TASKS)}
    slopes = {"H1": {"arms": list(TASKS), "against": "none", "of": "code length", "measured": on}}
    (found,) = slope_answers(0.0, slopes=slopes, estimand="tasks_like_these").answers
    assert found.effect == pytest.approx(1.0, abs=0.1)
    assert found.estimand is Estimand.TASKS_LIKE_THESE
    # Four tasks are one too few.
    assert found.remedy is not None and (found.remedy.unit, found.verdict) == (Unit.TASKS, Verdict.CANNOT_TELL)


def test_a_contrast_without_scores_counts_in_holms_procedure() -> None:
    contrasts = {name: {"arm": arm, "against": "none"} for name, arm in (("H1", "mixed"), ("H2", "other"))}
    alone = asked(HELPS, contrasts=contrasts)
    assert [found.level for found in alone.answers] == [0.975]
    assert [sentence.partition(":")[0] for sentence in alone.unanswered] == [
        "No answer yet to H2 (other - none on xquad)"
    ]


def test_a_language_counts_with_the_mean_over_its_targets() -> None:
    second = [*rows_of("none", BASE, task="tydiqa"), *rows_of("mixed", plus(BASE, 2.0), task="tydiqa")]
    scored = {**SCORED, "tydiqa": ["swh_Latn", "fin_Latn"]}
    first = [*NONE_ROWS, *rows_of("mixed", plus(BASE, 4.0))]
    (found,) = answer(question(), [*first, *second], scored, list(SEEDS)).answers
    # Three languages change by 4, two by the mean of 4 and 2.
    assert found.effect == pytest.approx((3 * 4 + 2 * 3) / 5)
    assert found.set_aside == ("A language counts with the mean over its targets (xquad, tydiqa).",)


def test_scores_in_another_precision_are_left_out_and_said() -> None:
    rows = [replace(row, precision="bf16") if (row.arm, row.seed) == ("mixed", 7) else row for row in HELPS]
    (found,) = asked(rows).answers
    assert found.num_seeds == 7
    assert "Scores of mixed in another precision than fp32, and left out: 5." in found.set_aside


def test_two_splits_of_a_target_are_not_mixed() -> None:
    found = asked([*HELPS, *(replace(row, split="dev") for row in HELPS)])
    assert not found.answers
    assert "xquad is scored on test and dev; report runs together only if their splits agree" in found.unanswered[0]


@pytest.mark.parametrize(("factor", "verdict"), [(5.0, Verdict.YES), (1.0, Verdict.CANNOT_TELL)])
def test_a_planted_spread_is_found_and_none_is_not(factor: float, verdict: Verdict) -> None:
    seeds = range(10)
    by_seed = np.random.default_rng(5).normal(0, 1, (2, 10))
    rows = [
        *rows_of("none", lambda seed, i: 50 + by_seed[0, seed] + 3 * i, seeds),
        *rows_of("mixed", lambda seed, i: 60 + factor * by_seed[1, seed] + 2 * i, seeds),
    ]
    (found,) = asked(rows, seeds=seeds, analysis="spread", matters=1.5).answers
    assert (found.verdict, found.num_seeds, found.num_languages) == (verdict, 10, 5)
    deviation = [np.abs(each - np.median(each)).mean() for each in by_seed]
    assert found.effect == pytest.approx(factor * deviation[1] / deviation[0])


PARTS = re.compile(
    r"(Yes|No larger than .+|Cannot tell( yet)?: .+?)\. "
    r"H\d \([^)]*\): [+-]\d+\.\d\d points (in these languages|with these weights) "
    r"\(\d\d(\.\d)? % interval [+-]\d+\.\d\d to [+-]\d+\.\d\d, p [=<] \d\.\d{3}; \d+ seeds?, \d+ languages?\)\. "
    r"An effect of \d+\.\d\d points would have been found four times in five\."
)


@pytest.mark.parametrize("num_seeds", [1, 3, 8])
def test_no_answer_lacks_a_part_in_any_form_of_the_report(tmp_path: Path, num_seeds: int) -> None:
    rows = [*HELPS, *rows_of("null", plus(noise(6, 1.0), 0.0))]
    write_rows(tmp_path / "results.jsonl", [row for row in rows if row.seed < num_seeds])
    arms = (("H1", "mixed"), ("H2", "null"), ("H3", "absent"))
    asks = question(contrasts={name: {"arm": arm, "against": "none"} for name, arm in arms})
    settings = Settings(recipe={"question": asks.model_dump(mode="json")}, deepspeed_file="f", deepspeed={})
    content = build([record(tmp_path, settings=settings)])
    console = Console(width=80, record=True, file=io.StringIO())
    show(content, console)
    pages = {
        "html": re.findall(r'<p class="answer">(.*?)</p>', to_html(content)),
        "markdown": re.findall(r"^> (.*)$", to_markdown(content, "report"), re.MULTILINE),
        "terminal": re.split(r"(?=Yes\.|No larger|Cannot tell|No answer)", _flat(console.export_text())),
    }
    for name, told in pages.items():
        answers = [line for line in told if ": " in line and "No answer" not in line and re.search(r"\(\w+ - ", line)]
        assert len(answers) == 2, name
        for line in answers:
            assert PARTS.search(line.replace("&lt;", "<").replace("&#39;", "'")), f"{name}: {line}"
        assert sum("No answer yet to H3 (absent - none on xquad)" in line for line in told) == 1, name
    assert "Does it help?" in to_html(content) and "*Does it help?*" in to_markdown(content, "report")


def _flat(text: str) -> str:
    return " ".join(text.partition("Does it help?")[2].split())
