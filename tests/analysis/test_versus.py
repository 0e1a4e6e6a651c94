"""Two studies of one question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_questions import BASE, LANGUAGES, SCORED, SEEDS, noise, plus, question, rows_of
from made_runs import record
from scipy import stats

from xstilts.analysis.report import build
from xstilts.analysis.statistics.answer import Verdict
from xstilts.analysis.versus import compare_studies
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row, write_rows
from xstilts.study.provenance import Expected, Settings

LARGE, SMALL = noise(21, 0.5), noise(22, 0.5)
FIRST = [*rows_of("none", BASE), *rows_of("mixed", plus(LARGE, 5.0))]
SECOND = [*rows_of("none", BASE), *rows_of("mixed", plus(SMALL, 2.0))]


def test_the_difference_of_two_studies_is_a_paired_t_test_of_their_changes() -> None:
    (found,) = compare_studies(question(), {"large": FIRST, "small": SECOND}, SCORED, list(SEEDS)).answers
    means = [[np.mean([score(seed, i) for i in range(1, 6)]) for seed in SEEDS] for score in (LARGE, SMALL)]
    expected = stats.ttest_1samp(np.subtract(*means) + 3.0, 0).confidence_interval()
    assert found.interval == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert (found.verdict, found.name) == (Verdict.YES, "H1 (mixed - none, large less small, on xquad)")


def test_two_studies_of_one_effect_do_not_differ() -> None:
    again = [*rows_of("none", BASE), *rows_of("mixed", plus(noise(23, 0.5), 5.0))]
    (found,) = compare_studies(question(), {"large": FIRST, "again": again}, SCORED, list(SEEDS)).answers
    assert found.verdict is Verdict.NO_LARGER


def test_where_either_is_unfinished_there_is_no_verdict() -> None:
    some = [row for row in SECOND if row.seed < 6]
    (found,) = compare_studies(question(), {"large": FIRST, "small": some}, SCORED, list(SEEDS)).answers
    assert (found.verdict, found.unfinished, found.num_seeds) == (Verdict.NOT_YET, (6, 8), 6)


def run(folder: Path, rows: list[Row], **keys: Any) -> Path:
    folder.mkdir()
    write_rows(folder / "results.jsonl", rows)
    expected = Expected(arms=["none", "mixed"], targets={"xquad": ["eng_Latn", *LANGUAGES]}, seeds=list(SEEDS))
    asks = question(**keys).model_dump(mode="json")
    settings = Settings(recipe={"question": asks}, deepspeed_file="f", deepspeed={})
    return record(folder, settings=settings, expected=expected)


def test_a_report_answers_for_its_own_run_and_then_how_it_differs(tmp_path: Path) -> None:
    first, second = run(tmp_path / "large", FIRST), run(tmp_path / "small", SECOND)
    own, differing = build([first], other=second).answers
    assert "H1 (mixed - none on xquad): +5" in own
    assert "H1 (mixed - none, large less small, on xquad): +3" in differing


def test_studies_of_other_questions_are_not_compared(tmp_path: Path) -> None:
    first = run(tmp_path / "large", FIRST)
    other = run(tmp_path / "other", SECOND, contrasts={"H1": {"arm": "none", "against": "mixed"}})
    with pytest.raises(UserError, match="--against other: it asks another question"):
        build([first], other=other)
    spread = [run(tmp_path / name, FIRST, analysis="spread", matters=2) for name in ("a", "b")]
    with pytest.raises(UserError, match="compared in means, and the question is of a spread"):
        build(spread[:1], other=spread[1])
