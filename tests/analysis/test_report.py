"""The report's page and table, from rows on disk."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from xstilts.analysis.report import report, show
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row, write_rows
from xstilts.study.provenance import Expected, Host, Launch, Parameters, Run, Settings, Source

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
LANGUAGES = ("swh_Latn", "yor_Latn")
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


def record(folder: Path, **fields: Any) -> Path:
    """Writes a `run.json` of a study with arms `none` and `mixed`, two seeds, and XQuAD in two languages."""
    source = Source(commit="0123456789abcdef" + "0" * 24, dirty=True, unknown_because=None, digest="d")
    launch = Launch(
        start=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        end=datetime(2026, 1, 2, 5, 6, tzinfo=UTC),
        exit=0,
        reason="",
        world_size=2,
        hosts=[Host(name="node-0", ranks=[0, 1], devices=["cpu: some"])],
        overrides=[],
        precision="fp32",
        settings="s",
        versions={"xstilts": "0.1", "torch": "2.13", "deepspeed": "0.19"},
        source=source,
    )
    targets = {"xquad": ["swh_Latn", "yor_Latn"]}
    given = {
        "name": "study",
        "title": "A study",
        "baseline": "none",
        "precision": "fp32",
        "caveats": [],
        "expected": Expected(arms=["none", "mixed"], targets=targets, seeds=[0, 1]),
        "parameters": Parameters(encoder=1, embeddings=1, heads={}),
        "settings": Settings(recipe={}, deepspeed_file="f", deepspeed={}),
        "checkpoint": None,
        "format": 1,
        "launches": [launch.model_copy(update=each) for each in fields.pop("launches", [{}])],
        "earlier": {},
    }
    (folder / "run.json").write_text(Run(**{**given, **fields}).model_dump_json())
    return folder


def section(text: str, title: str) -> list[str]:
    """The items of a list."""
    _, _, rest = text.partition(f"## {title}\n\n")
    return [line.removeprefix("- ") for line in rest.partition("\n\n")[0].splitlines()]


def test_title_and_baseline_are_the_recipes(tmp_path: Path) -> None:
    run = record(run_dir(tmp_path, NONE, MIXED), baseline="mixed")
    text = report([run])
    assert text.startswith("# A study\n") and "Change is against arm `mixed`" in text
    assert cells(text, "none")[0][10] == "-3.25"
    assert "Change is against arm `none`" in report([run], baseline="none")


def test_what_an_unfinished_study_lacks_is_listed(tmp_path: Path) -> None:
    yoruba = replace(NONE, language="yor_Latn")
    second = replace(NONE, seed=1)
    text = report([record(run_dir(tmp_path, NONE, yoruba, second, MIXED))])
    assert section(text, "Missing") == [
        "none -> xquad, seed 1, yor_Latn",
        "mixed -> xquad, seed 0, yor_Latn",
        "mixed -> xquad, seed 1",
    ]
    every = [replace(row, seed=seed, language=key) for row in (NONE, MIXED) for seed in (0, 1) for key in LANGUAGES]
    assert "## Missing" not in report([record(run_dir(tmp_path, *every))])


def test_a_baseline_that_is_not_scored_yet_is_said(tmp_path: Path) -> None:
    text = report([record(run_dir(tmp_path, MIXED))])
    assert "Arm `none`, the baseline, is not scored yet: there are no changes." in text
    assert "none -> xquad, seed 0, 1" in section(text, "Missing")


def test_runs_that_differ_in_precision_or_baseline_are_said(tmp_path: Path) -> None:
    a = record(run_dir(tmp_path / "a", NONE))
    b = record(run_dir(tmp_path / "b", replace(MIXED, precision="bf16")), precision="bf16", baseline="mixed", title="B")
    text = report([a, b])
    assert text.startswith("# A study; B\n")
    assert "Precision differs: a fp32, b bf16. No change is taken between precisions." in text
    assert "The runs name different baselines: a `none`, b `mixed`; here it is `none`." in text
    assert cells(text, "mixed")[0][10] == ""
    alike = report([a, record(run_dir(tmp_path / "c", MIXED))])
    assert "differ" not in alike and cells(alike, "mixed")[0][10] == "+3.25"


def test_results_of_an_earlier_launch_in_another_precision_are_said(tmp_path: Path) -> None:
    text = report([record(run_dir(tmp_path / "a", NONE), precision="bf16")])
    assert (
        "The newest launch of a computes in bf16 and has scored nothing yet: these are results of an earlier one."
        in text
    )


def test_a_run_says_where_and_how_it_was_computed(tmp_path: Path) -> None:
    launches = [{"end": None, "exit": None}, {"exit": 75, "reason": "asked"}, {}]
    (line,) = section(report([record(run_dir(tmp_path / "a", NONE), launches=launches)]), "Runs")
    assert line == (
        "a: fp32, 2 ranks on node-0 (cpu: some); "
        "xstilts 0.1, torch 2.13, deepspeed 0.19, commit 0123456789ab with changes; "
        "3 launches; launch 1 of 2026-01-02 03:04 UTC was killed; launch 2 ended with code 75 (asked)"
    )
    (line,) = section(report([record(run_dir(tmp_path / "a", NONE), launches=launches[:1])]), "Runs")
    assert line.endswith("1 launch; launch 1 of 2026-01-02 03:04 UTC is running, or was killed")
    assert section(report([run_dir(tmp_path / "old", NONE)]), "Runs") == ["old: fp32; it has no run.json"]


def test_an_evaluated_checkpoint_is_reported_with_and_without_a_record(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "evaluations" / "checkpoint-0f"
    run_dir(folder, replace(NONE, arm="checkpoint"))
    for given in (folder, tmp_path / "run"):
        assert cells(report([given]), "checkpoint")[0][8] == "20.00"
    expected = Expected(arms=["checkpoint"], targets={"xquad": ["swh_Latn"]}, seeds=[0])
    record(folder, baseline="checkpoint", title="Study: mixed.xquad", expected=expected)
    text = report([folder])
    assert text.startswith("# Study: mixed.xquad\n") and "Missing" not in text
    run_dir(tmp_path / "run" / "evaluations" / "checkpoint-1f", replace(NONE, arm="checkpoint"))
    with pytest.raises(
        UserError, match=r"run: 2 checkpoints are evaluated there; give one: .*checkpoint-0f, .*checkpoint-1f"
    ):
        report([tmp_path / "run"])


def test_arms_without_a_baseline_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no arm 'none'; give --baseline: mixed, other"):
        report([run_dir(tmp_path, MIXED, replace(MIXED, arm="other"))])


def test_caveats_of_all_runs_come_first_and_once(tmp_path: Path) -> None:
    for name, seed, caveats in (("a", 0, ["One."]), ("b", 1, ["One.", "Two."]), ("c", 2, [])):
        record(run_dir(tmp_path / name, replace(NONE, seed=seed)), caveats=caveats)
    assert report([tmp_path / name for name in "abc"]).splitlines()[:4] == ["# A study", "", "One. Two.", ""]
