"""The report's pages and the terminal, from rows on disk."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import NONE, record
from rich.console import Console

from xstilts.analysis.markdown import to_markdown
from xstilts.analysis.report import build, show, write
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row, write_rows
from xstilts.study.provenance import Expected, Settings

LANGUAGES = ("swh_Latn", "yor_Latn")
MIXED = replace(NONE, arm="mixed", value=23.25)
EXACT = replace(NONE, metric="squad_em", value=10.0, primary=False, majority=None)


def report(run_dirs: Sequence[Path], *, baseline: str | None = None) -> str:
    return to_markdown(build(run_dirs, baseline=baseline), "report")


def cells(text: str, arm: str) -> list[list[str]]:
    """The rows of an arm in the table of all scores."""
    lines = text.partition("## All scores\n")[2].splitlines()
    rows = [[field.strip() for field in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if row[4] == arm]


def run_dir(folder: Path, *rows: Row) -> Path:
    write_rows(folder / "results.jsonl", rows)
    return folder


def test_a_score_with_trivial_scores_change_and_collapsed_runs(tmp_path: Path) -> None:
    content = build([run_dir(tmp_path, NONE, MIXED, EXACT)], baseline="none")
    assert content.title == "Report"
    by_arm = {(row[3], row[4]): dict(zip(content.scores.columns, row, strict=True)) for row in content.scores.rows}
    assert by_arm["squad_f1", "mixed"] == {
        "target": "xquad",
        "language": "Swahili (swh_Latn)",
        "split": "test",
        "metric": "squad_f1",
        "arm": "mixed",
        "n": "50",
        "chance": "5.00",
        "majority": "21.00",
        "score": "23.25",
        "95 %": "18.00 to 22.50",
        "change": "+3.25",
        "95 % of change": "",
        "seeds": "1",
        "collapsed": "0",
    }
    assert by_arm["squad_f1", "none"]["change"] == ""
    assert by_arm["squad_f1", "none"]["collapsed"] == "1"
    assert by_arm["squad_em", "none"]["majority"] == ""


def test_two_seeds_in_two_runs_make_an_interval(tmp_path: Path) -> None:
    second = [replace(row, seed=1, value=row.value + extra) for row, extra in ((NONE, 0), (MIXED, 1.0))]
    folders = [run_dir(tmp_path / "a", NONE, MIXED), run_dir(tmp_path / "b", *second)]
    content = build(folders, baseline="none")
    # Changes 3.25 and 4.25: mean 3.75, standard error 0.5, t 12.7062.
    (mixed,) = [row for row in content.scores.rows if row[4] == "mixed"]
    assert mixed[-4:] == ("+3.75", "-2.60 to +10.10", "2", "0")
    (forest,) = [figure for figure in content.figures if figure.name == "forest"]
    ((group, label, effect, low, high, note),) = forest.rows
    assert (group, label, effect, note) == ("xquad", "mixed", 3.75, "2 seeds, 1 language")
    assert (low, high) == (pytest.approx(-2.6031, abs=1e-4), pytest.approx(10.1031, abs=1e-4))


def many(tmp_path: Path) -> Path:
    """Eight arms, five tasks with long names, forty languages."""
    languages = [
        "eng_Latn",
        *(f"qa{chr(97 + i)}_Latn" for i in range(19)),
        *(f"qb{chr(97 + i)}_Cyrl" for i in range(20)),
    ]
    arms = ["none", *(f"an_arm_with_a_name_{i}" for i in range(7))]
    rows = [
        replace(NONE, arm=arm, task=task, language=language, seed=seed, value=20 + i + 0.1 * j + seed)
        for i, arm in enumerate(arms)
        for task in ("xquad", "masakhaner2", "udpos", "xnli", "afrixnli")
        for j, language in enumerate(languages)
        for seed in (0, 1, 2)
    ]
    return run_dir(tmp_path, *rows)


@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_cuts_nothing(tmp_path: Path, width: int) -> None:
    stream = io.StringIO()
    show(build([many(tmp_path)], baseline="none"), Console(file=stream, width=width))
    text = stream.getvalue()
    assert "\u2026" not in text and max(map(len, text.splitlines())) <= width
    for word in ("an_arm_with_a_name_6", "masakhaner2", "udpos"):
        assert word in text
    assert text.count("an_arm_with_a_name_6") == (1 if width == 200 else 2), "blocks of columns repeat the arm"


def test_the_page_holds_everything_and_loads_nothing(tmp_path: Path) -> None:
    content = build([many(tmp_path)], baseline="none")
    html, markdown = write(content, tmp_path)
    page = html.read_text(encoding="utf-8")
    assert {figure.name for figure in content.figures} == {"forest", "heat_map", "english"}
    for part in (*content.figures, content.matrix, *content.tables, content.scores):
        assert f'download="{part.name}.csv"' in page
    assert page.count("<svg ") == len(content.figures)
    # 8 arms x 5 tasks x 40 languages.
    assert len(content.scores.rows) == 1600 and page.count("<tr>") > 1600
    outside = re.findall(r"""(?:src|href|url\(|@import)\s*=?\s*["']?([^"')\s>]+)""", page)
    assert {link.partition(":")[0] for link in outside if not link.startswith("#")} <= {"data"}
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)
    text = markdown.read_text(encoding="utf-8")
    for figure in content.figures:
        assert f"(report/{figure.name}.svg)" in text and (tmp_path / "report" / f"{figure.name}.svg").is_file()
    for name, data in content.files().items():
        assert (tmp_path / "report" / name).read_text(encoding="utf-8") == data


def test_data_of_a_figure_are_its_numbers(tmp_path: Path) -> None:
    content = build([run_dir(tmp_path, NONE, MIXED)], baseline="none")
    (heat_map,) = [figure for figure in content.figures if figure.name == "heat_map"]
    rows = list(csv.DictReader(io.StringIO(heat_map.csv())))
    assert rows == [
        {
            "target": "xquad",
            "metric": "squad_f1",
            "arm": "mixed",
            "language": "swh_Latn",
            "name": "Swahili",
            "change": "3.25",
        }
    ]


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    page = write(build([run_dir(tmp_path, NONE, replace(MIXED, arm="a<b>&"))], baseline="none"), tmp_path)[0]
    text = page.read_text(encoding="utf-8")
    assert "a<b>" not in text and "a&lt;b&gt;&amp;" in text


@pytest.mark.parametrize("rows", [None, ()])
def test_a_run_without_scores_is_an_error(tmp_path: Path, rows: tuple[Row, ...] | None) -> None:
    if rows is not None:
        run_dir(tmp_path, *rows)
    with pytest.raises(UserError, match=r"results\.jsonl: no scores there; give the directory of a run"):
        build([tmp_path], baseline="none")


def test_an_unknown_baseline_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--baseline mixd: no such arm is scored; did you mean 'mixed'\?"):
        build([run_dir(tmp_path, NONE, MIXED)], baseline="mixd")


def section(text: str, title: str) -> list[str]:
    """The items of a list."""
    _, _, rest = text.partition(f"## {title}\n\n")
    return [line.removeprefix("- ") for line in rest.partition("\n\n")[0].splitlines()]


def test_title_and_baseline_are_the_recipes(tmp_path: Path) -> None:
    run = record(run_dir(tmp_path, NONE, MIXED), baseline="mixed")
    text = report([run])
    assert text.startswith("# A study\n") and "in brackets the change against mixed" in text
    assert cells(text, "none")[0][10] == "-3.25"
    assert "in brackets the change against none" in report([run], baseline="none")


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
    (line,) = section(report([record(run_dir(tmp_path / "a", NONE), launches=launches)]), "What was run")
    assert line == (
        "a: fp32, 2 ranks on node-0 (cpu: some); "
        "xstilts 0.1, torch 2.13, deepspeed 0.19, commit 0123456789ab with changes; "
        "3 launches; launch 1 of 2026-01-02 03:04 UTC is running, or was killed; launch 2 ended with code 75 (asked); "
        "took 244 minutes, 8.1 rank-hours"
    )
    (line,) = section(report([record(run_dir(tmp_path / "a", NONE), launches=launches[:1])]), "What was run")
    assert line.endswith("1 launch; launch 1 of 2026-01-02 03:04 UTC is running, or was killed")
    assert section(report([run_dir(tmp_path / "old", NONE)]), "What was run") == ["old: fp32; it has no run.json"]


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


def test_a_question_that_was_changed_or_differs_between_runs_is_said(tmp_path: Path) -> None:
    asks = {"ask": "Why?", "estimand": "these_languages", "matters": 1.0}
    asks["contrasts"] = {"H1": {"arm": "mixed", "against": "none"}}
    first, later = (Settings(recipe={"question": q}, deepspeed_file="f", deepspeed={}) for q in (None, asks))
    a = record(run_dir(tmp_path / "a", NONE, MIXED), settings=later, earlier={"digest": first})
    other = Settings(recipe={"question": {**asks, "matters": 2.0}}, deepspeed_file="f", deepspeed={})
    b = record(run_dir(tmp_path / "b", replace(NONE, seed=1)), settings=other)
    content = build([a, b])
    assert content.question == "Why?"
    assert content.notes[-2:] == (
        "The question is that of a; b asked another.",
        "The question of a was changed after its first launch: it was not named beforehand.",
    )
    assert "asks no question" not in report([a, b])


def test_a_run_without_a_question_says_so(tmp_path: Path) -> None:
    content = build([record(run_dir(tmp_path, NONE, MIXED))])
    assert (content.question, content.answers, content.unanswered) == ("", (), ())
    assert "This recipe asks no question" in to_markdown(content, "report")


def test_caveats_of_all_runs_come_first_and_once(tmp_path: Path) -> None:
    for name, seed, caveats in (("a", 0, ["One."]), ("b", 1, ["One.", "Two."]), ("c", 2, [])):
        record(run_dir(tmp_path / name, replace(NONE, seed=seed)), caveats=caveats)
    assert report([tmp_path / name for name in "abc"]).splitlines()[:4] == ["# A study", "", "One. Two.", ""]


def test_a_slope_is_drawn_from_its_measures_and_the_changes(tmp_path: Path) -> None:
    """Arm `a` changes by ten times the measure, arm `b` by nothing; seeds differ and take nothing from the means."""
    measured = {"a": {"swh_Latn": 0.1, "yor_Latn": 0.3, "ibo_Latn": 0.2}, "b": {"swh_Latn": 0.5, "yor_Latn": 0.6}}
    asks = {"ask": "Does it predict?", "analysis": "slope", "matters": 1, "estimand": "languages_like_these"}
    asks["slopes"] = {"H1": {"arms": ["a", "b"], "against": "none", "of": "likeness", "measured": measured}}
    rows = [
        replace(NONE, arm=arm, seed=seed, seeds=str(seed), language=key, value=value, low=value, high=value)
        for seed in (0, 1)
        for key in ("swh_Latn", "yor_Latn", "ibo_Latn")
        for arm in ("none", "a", "b")
        for value in [30 + seed + (10 * measured["a"][key] if arm == "a" else 0)]
    ]
    settings = Settings(recipe={"question": asks}, deepspeed_file="f", deepspeed={})
    targets = {"xquad": ["swh_Latn", "yor_Latn", "ibo_Latn"]}
    expected = Expected(arms=["none", "a", "b"], targets=targets, seeds=[0, 1])
    content = build([record(run_dir(tmp_path, *rows), settings=settings, expected=expected)])
    (drawn,) = [figure for figure in content.figures if figure.name == "slope_H1"]
    found = [(row["group"], row["point"], float(row["likeness"]), float(row["change against none"]))
             for row in csv.DictReader(io.StringIO(drawn.csv()))]  # fmt: skip
    assert found == [
        ("a", "a swh_Latn", 0.1, pytest.approx(1.0)),
        ("a", "a yor_Latn", 0.3, pytest.approx(3.0)),
        ("a", "a ibo_Latn", 0.2, pytest.approx(2.0)),
        ("b", "b swh_Latn", 0.5, pytest.approx(0.0)),
        ("b", "b yor_Latn", 0.6, pytest.approx(0.0)),
    ]
