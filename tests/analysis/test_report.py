"""The report's page and table, from rows on disk."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from xstilts.analysis.report import report, show
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row, write_rows

NONE = Row(
    arm="none",
    stage="s",
    task="xquad",
    language="swh_Latn",
    split="test",
    metric="squad_f1",
    value=20.0,
    low=18.0,
    high=22.5,
    chance=5.0,
    majority=21.0,
    num_examples=50,
    seed=0,
    seeds="0",
    selection="last",
    primary=True,
    precision="fp32",
)
MIXED = replace(NONE, arm="mixed", value=23.25)
EXACT = replace(NONE, metric="squad_em", value=10.0, primary=False, majority=None)


def run_dir(folder: Path, *rows: Row) -> Path:
    write_rows(folder / "results.jsonl", rows)
    return folder


def cells(text: str, arm: str) -> list[list[str]]:
    """The fields of the lines of one arm."""
    lines = [[field.strip() for field in line.strip("|").split("|")] for line in text.splitlines()]
    return [line for line in lines if arm in line]


def test_a_line_holds_score_trivial_scores_change_and_collapsed_runs(tmp_path: Path) -> None:
    text = report([run_dir(tmp_path, NONE, MIXED, EXACT)], baseline="none")
    assert text.startswith("# Report\n")
    line, mean = cells(text, "mixed")
    assert line == [
        *("xquad", "Swahili (swh_Latn)", "test", "squad_f1", "50", "5.00", "21.00", "mixed", "23.25", "18.00 to 22.50"),
        *("+3.25", "", "0 of 1"),
    ]
    assert mean == ["xquad", "test", "squad_f1", "mixed", "1", "23.25", "+3.25", ""]
    baseline, exact, *_ = cells(text, "none")
    assert baseline[-3:] == ["", "", "1 of 1"]
    assert exact[3:9] == ["squad_em", "50", "5.00", "-", "none", "10.00"]


def test_two_seeds_in_two_runs_make_an_interval(tmp_path: Path) -> None:
    second = [replace(row, seed=1, value=row.value + extra) for row, extra in ((NONE, 0), (MIXED, 1.0))]
    folders = [run_dir(tmp_path / "a", NONE, MIXED), run_dir(tmp_path / "b", *second)]
    text = report(folders, baseline="none")
    # Changes 3.25 and 4.25: mean 3.75, standard error 0.5, t 12.7062.
    assert cells(text, "mixed")[0][-3:] == ["+3.75", "-2.60 to +10.10", "0 of 2"]
    assert "seeds per cell: 2." in text


def test_the_table_on_the_screen_has_a_column_per_arm(tmp_path: Path) -> None:
    stream = io.StringIO()
    other = replace(NONE, task="xnli", metric="accuracy", majority=None)
    show(run_dir(tmp_path, NONE, MIXED, EXACT, other), baseline="none", console=Console(file=stream, width=120))
    lines = [line.replace("\u2502", "|").split("|") for line in stream.getvalue().splitlines()]
    fields = [[field.strip() for field in line[1:-1]] for line in lines if len(line) > 3]
    assert ["xquad", "Swahili (swh_Latn)", "squad_f1", "5.0", "21.0", "20.0", "23.2 (+3.2)"] in fields
    assert ["xnli", "Swahili (swh_Latn)", "accuracy", "5.0", "-", "20.0", "-"] in fields
    assert len(fields) == 2


@pytest.mark.parametrize("rows", [None, ()])
def test_a_run_without_scores_is_an_error(tmp_path: Path, rows: tuple[Row, ...] | None) -> None:
    if rows is not None:
        run_dir(tmp_path, *rows)
    with pytest.raises(UserError, match=r"results\.jsonl: no scores there; give the directory of a run"):
        report([tmp_path], baseline="none")


def test_an_unknown_baseline_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--baseline mixd: no such arm is scored; did you mean 'mixed'\?"):
        report([run_dir(tmp_path, NONE, MIXED)], baseline="mixd")
