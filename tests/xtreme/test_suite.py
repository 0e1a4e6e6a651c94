from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xstilts.core.errors import UserError
from xstilts.evaluation.items import metric_names
from xstilts.kinds import MINING, PAIR, SPAN, TAGGING, Answer, Kind, PairExample, SpanExample, TaggingExample
from xstilts.kinds.files import Items
from xstilts.kinds.span import AnswerReference
from xstilts.tasks.registry import Task, all_tasks, find_task
from xstilts.tasks.suites import SUITES, Suite
from xstilts.xtreme import score, suite
from xstilts.xtreme.score import as_dict, run_score
from xstilts.xtreme.submission import write_labels, write_predictions
from xstilts.xtreme.suite import headline_metrics, score_folder, score_items


def _task(name: str, kind: Kind[Any], *metrics: str) -> Task:
    return Task(name, kind, name.upper(), layouts=(), languages={}, metrics=metrics)


TASKS = {
    task.name: task
    for task in (
        _task("xnli", PAIR, "accuracy"),
        _task("udpos", TAGGING, "xtreme_pos_f1", "token_accuracy"),
        _task("xquad", SPAN, "squad_f1", "squad_em", "chrf"),
        _task("bucc2018", MINING, "mining_f1"),
    )
}
SMALL = Suite(
    "small",
    "Small",
    {
        "xnli": ("eng_Latn", "swh_Latn"),
        "udpos": ("yor_Latn",),
        "xquad": ("eng_Latn", "spa_Latn", "zho_Hans"),
        "bucc2018": ("deu_Latn",),
    },
    {"classification": ("xnli",), "qa": ("xquad",), "mixed": ("xnli", "udpos"), "retrieval": ("bucc2018",)},
)


@pytest.fixture(autouse=True)
def _small_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "find_task", lambda name: TASKS.get(name) or find_task(name))
    monkeypatch.setattr(score, "find_suite", lambda name: SMALL)


def _question(id_: str, answer: str) -> SpanExample:
    return SpanExample(id_, "?", answer, (Answer(answer, 0),))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and labels of all tasks but BUCC, and of all languages but Chinese XQuAD."""
    predictions, labels = tmp_path / "predictions", tmp_path / "labels"
    pairs = [PairExample(str(i), "a", "b", "yes") for i in range(4)]
    words = [TaggingExample("0", ("a", "b", "c"), ("NOUN", "NOUN", "VERB")), TaggingExample("1", ("d",), ("SCONJ",))]
    questions = [_question("q1", "the cat sat down"), _question("q2", "Dar")]
    for name, language, examples, guesses in (
        ("xnli", "eng_Latn", pairs, ["yes"] * 4),
        ("xnli", "swh_Latn", pairs, ["yes", "no", "no", "no"]),
        ("udpos", "yor_Latn", words, [("NOUN", "NOUN", "VERB"), ("CCONJ",)]),
        ("xquad", "eng_Latn", questions, ["cat sat", "Dar"]),
        ("xquad", "spa_Latn", questions, ["", "the Dar"]),
    ):
        write_predictions(predictions, TASKS[name], language, examples, guesses)
        write_labels(labels, TASKS[name], language, examples)
    return predictions, labels


def test_averages_by_hand(folders: tuple[Path, Path]) -> None:
    result = score_folder(SMALL, *folders)
    # XNLI: 100 and 25.
    assert result.tasks["xnli"].averages == {"accuracy": 62.5}
    # UDPOS: spans NOUN NOUN | VERB | SCONJ, the last one wrong; three of four words.
    assert result.tasks["udpos"].averages == pytest.approx(
        {"xtreme_pos_f1": 200 / 3, "xtreme_pos_precision": 200 / 3, "xtreme_pos_recall": 200 / 3, "token_accuracy": 75}
    )
    # XQuAD en: F1 (0.8 + 1) / 2, EM 1/2; es: F1 and EM 1/2.
    averages = result.tasks["xquad"].averages
    assert averages["squad_f1"] == pytest.approx(70.0)
    assert averages["squad_em"] == pytest.approx(50.0)
    assert result.tasks["xquad"].score.value == pytest.approx(60.0)
    assert {name: average.value for name, average in result.groups.items()} == pytest.approx(
        {"classification": 62.5, "qa": 60.0, "mixed": (62.5 + 200 / 3) / 2}
    )
    assert result.overall.value == pytest.approx((62.5 + 200 / 3 + 60) / 3)


def test_what_is_missing_is_listed(folders: tuple[Path, Path]) -> None:
    result = score_folder(SMALL, *folders)
    assert result.missing_tasks == ("bucc2018",)
    assert result.tasks["xquad"].missing == ("zho_Hans",)
    assert result.tasks["xnli"].missing == ()
    assert {name: average.complete for name, average in result.groups.items()} == {
        "classification": True,
        "qa": False,
        "mixed": True,
    }
    assert not result.overall.complete


def test_labels_without_predictions_are_missing_too(folders: tuple[Path, Path]) -> None:
    (folders[0] / "xnli/test-sw.tsv").unlink()
    assert score_folder(SMALL, *folders).tasks["xnli"].missing == ("swh_Latn",)


def test_bucc_counts_repeated_pairs_once(folders: tuple[Path, Path]) -> None:
    for folder, lines in zip(folders, (["s1\tt1", "s1\tt1", "s2\tt9", "s3\tt3"], ["s1\tt1", "s2\tt2"]), strict=True):
        path = folder / "bucc2018/test-de.tsv"
        path.parent.mkdir()
        path.write_text("\n".join(lines) + "\n")
    result = score_folder(SMALL, *folders)
    assert result.tasks["bucc2018"].averages == pytest.approx(
        {"mining_f1": 40.0, "mining_precision": 100 / 3, "mining_recall": 50.0}
    )


def test_unanswered_questions_score_0_and_are_said(folders: tuple[Path, Path]) -> None:
    (folders[0] / "xquad/test-en.json").write_text(json.dumps({"q2": "Dar"}))
    result = score_folder(SMALL, *folders)
    assert result.tasks["xquad"].languages["eng_Latn"]["squad_f1"].value == 50.0
    assert any("no prediction for 1 of 2" in note for note in result.notes)


def test_an_unanswered_question_is_not_an_empty_answer() -> None:
    # v1.1 gives an empty answer exact match against a gold of articles alone, an unanswered question nothing.
    references = [AnswerReference(("the",), "eng_Latn")]
    assert score_items(TASKS["xquad"], Items(references, [""]))["squad_em"].value == 100.0
    assert score_items(TASKS["xquad"], Items(references, [None]))["squad_em"].value == 0.0


def test_files_of_no_language_of_the_suite_are_said(folders: tuple[Path, Path]) -> None:
    (folders[0] / "xnli/test-yo.tsv").write_text("yes\n")
    assert any("test-yo.tsv: not a file of the suite" in note for note in score_folder(SMALL, *folders).notes)


def test_length_mismatch_names_file_and_counts(folders: tuple[Path, Path]) -> None:
    path = folders[0] / "xnli/test-sw.tsv"
    path.write_text("yes\n" * 3)
    with pytest.raises(UserError, match=r"xnli/test-sw\.tsv: 3 labels where .*labels/xnli/test-sw\.tsv has 4"):
        score_folder(SMALL, *folders)


def test_nothing_to_score_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        score_folder(SMALL, tmp_path / "absent", tmp_path)
    with pytest.raises(UserError, match=r"no file of Small .* xnli/test-en\.tsv in both folders"):
        score_folder(SMALL, tmp_path, tmp_path)


def test_json_holds_every_number_unrounded(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_score("small", *folders, as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    result = score_folder(SMALL, *folders)
    assert printed == as_dict(result)
    assert printed["overall"] == {"score": result.overall.value, "complete": False}
    assert printed["tasks"]["xquad"]["missing_languages"] == ["zh"]
    assert printed["missing_tasks"] == ["bucc2018"]
    english = printed["tasks"]["xnli"]["languages"]["en"]["accuracy"]
    assert english == {"score": 100.0, "interval": [100.0, 100.0], "items": 4}
    low, high = printed["tasks"]["xnli"]["languages"]["sw"]["accuracy"]["interval"]
    assert low < 25 < high


def test_table_shows_the_numbers(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run_score("small", *folders, as_json=False)
    printed = capsys.readouterr().out
    assert "62.50" in printed
    cells = {line.strip("│ ").split("│")[0].strip(): line for line in printed.splitlines() if "│" in line}
    assert "incomplete" in cells["overall"] and "60.00" not in cells["overall"]
    assert "incomplete" in cells["qa"] and "incomplete" in cells["xquad"]
    assert "incomplete" not in cells["classification"] and "62.50" in cells["classification"]
    assert "average over 2 of 3 languages; missing: zh" in printed
    assert "missing tasks: bucc2018" in printed
    assert "missing: zh" in printed
    assert "missing tasks: bucc2018" in printed


def test_metrics_as_the_script_prints_them() -> None:
    assert metric_names(TASKS["bucc2018"]) == ("mining_f1", "mining_precision", "mining_recall")
    assert headline_metrics(TASKS["xquad"]) == ("squad_em", "squad_f1")
    assert headline_metrics(TASKS["udpos"]) == ("xtreme_pos_f1",)


@pytest.mark.parametrize("name", SUITES)
def test_every_registered_task_of_a_suite_can_be_scored(name: str) -> None:
    for task in all_tasks(name):
        assert task.name in SUITES[name].tasks
        assert set(headline_metrics(task)) <= set(metric_names(task))


def test_mining_nothing_where_there_is_nothing(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        (folder / "bucc2018").mkdir()
        (folder / "bucc2018/test-de.tsv").touch()
    assert score_folder(SMALL, *folders).tasks["bucc2018"].averages["mining_f1"] == 0.0
