"""`score` on folders in the official layout, with the registered tasks."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from xstilts.core.errors import UserError
from xstilts.evaluation.baselines import chance, majority
from xstilts.evaluation.metrics import find_metric
from xstilts.kinds import Kind
from xstilts.kinds.span import AnswerReference
from xstilts.tasks import find_task
from xstilts.tasks.suites import find_suite
from xstilts.xtreme.score import run_score
from xstilts.xtreme.submission import write_labels, write_predictions
from xstilts.xtreme.suite import score_folder


def _answers(*answers: tuple[str, str]) -> str:
    """SQuAD's JSON form: (question id, answer), each in a paragraph of its own."""
    questions = [{"id": id_, "question": "?", "answers": [{"text": a, "answer_start": 0}]} for id_, a in answers]
    paragraphs = [{"context": q["answers"][0]["text"], "qas": [q]} for q in questions]
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})


# file -> (predictions, labels, {metric: score})
XTREME_FILES: dict[str, tuple[str, str, dict[str, float]]] = {
    "xnli/test-sw.tsv": ("neutral\nneutral\n", "entailment\nneutral\n", {"accuracy": 50}),
    "pawsx/test-de.tsv": ("0\n1\n1\n1\n", "1\n1\n1\n1\n", {"accuracy": 75}),
    "udpos/test-yo.tsv": (
        "SCONJ\nNOUN\n\nNOUN\nNOUN\n",
        "CCONJ\nNOUN\n\nNOUN\nNOUN\n",
        # Spans: SCONJ for CCONJ is wrong, NOUN right, NOUN NOUN one right span.
        {"xtreme_pos_f1": 200 / 3, "token_accuracy": 75},
    ),
    "panx/test-sw.tsv": (
        "B-PER\nB-PER\nO\nB-LOC\n",
        "B-PER\nI-PER\nO\nB-LOC\n\n",
        {"tag_f1": 40, "tag_precision": 100 / 3, "tag_recall": 50},
    ),
    "bucc2018/test-de.tsv": (
        "d1\te1\nd1\te1\n",
        "d1\te1\nd2\te2\nd3\te3\n",
        {"mining_f1": 50, "mining_recall": 100 / 3},
    ),
    "tatoeba/test-sw.tsv": ("2\n0\n0\n1\n", "2\n0\n1\n3\n", {"top1": 50}),
    "xquad/test-ar.json": (
        json.dumps({"a": "كتاب", "b": "Dar"}),
        _answers(("a", "الكتاب"), ("b", "the Dar!")),
        {"squad_em": 50, "squad_f1": 50},
    ),
    "mlqa/test-ar.json": (
        json.dumps({"a": "كتاب", "b": "دار"}),
        _answers(("a", "الكتاب"), ("b", "دار السلام")),
        # b: one common token of one and of two.
        {"mlqa_em": 50, "mlqa_f1": (100 + 200 / 3) / 2},
    ),
    "mlqa/test-zh.json": (json.dumps({"a": "北京"}), _answers(("a", "北京市")), {"mlqa_em": 0, "mlqa_f1": 80}),
    "tydiqa/test-sw.json": (json.dumps({"a": "1999"}), _answers(("a", "1999")), {"squad_em": 100, "squad_f1": 100}),
}
XTREME_R_FILES: dict[str, tuple[str, str, dict[str, float]]] = {
    "xcopa/test-qu.jsonl": ('{"label": 0}\n{"label": 1}\n', '{"idx": 0, "label": 0}\n{"label": 0}\n', {"accuracy": 50}),
    "mewslix/test-ta.json": ('{"m": ["Q1", "Q2", "Q3"]}', '{"m": ["Q3"], "n": ["Q1"]}', {"map_at_20": 100 / 6}),
    "lareqa/test-hi.json": ('{"q": ["a", "x", "b"]}', '{"q": ["a", "b", "c"]}', {"map_at_20": 500 / 9}),
}


def _folders(root: Path, files: dict[str, tuple[str, str, dict[str, float]]]) -> tuple[Path, Path]:
    for name, (guess, gold, _) in files.items():
        for folder, text in (("p", guess), ("l", gold)):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / name).write_text(text, encoding="utf-8")
    return root / "p", root / "l"


@pytest.mark.parametrize(("suite", "files"), [("xtreme", XTREME_FILES), ("xtreme-r", XTREME_R_FILES)])
def test_official_layout_by_hand(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    suite: str,
    files: dict[str, tuple[str, str, dict[str, float]]],
) -> None:
    run_score(suite, *_folders(tmp_path, files), as_json=True)
    tasks = json.loads(capsys.readouterr().out)["tasks"]
    for name, (_, _, expected) in files.items():
        task, _, file = name.partition("/")
        scores = tasks[task]["languages"][file.removeprefix("test-").partition(".")[0]]
        assert {metric: scores[metric]["score"] for metric in expected} == pytest.approx(expected), name


def test_xtreme_averages_by_hand(tmp_path: Path) -> None:
    result = score_folder(find_suite("xtreme"), *_folders(tmp_path, XTREME_FILES))
    assert result.missing_tasks == ()
    # MLQA: EM (50 + 0) / 2, F1 (250 / 3 + 80) / 2.
    scores = {
        "pawsx": 75,
        "xnli": 50,
        "panx": 40,
        "udpos": 200 / 3,
        "bucc2018": 50,
        "tatoeba": 50,
        "xquad": 50,
        "mlqa": (25 + (250 / 3 + 80) / 2) / 2,
        "tydiqa": 100,
    }
    assert {name: task.score.value for name, task in result.tasks.items()} == pytest.approx(scores)
    assert {name: average.value for name, average in result.groups.items()} == pytest.approx(
        {
            "classification": 62.5,
            "tagging": (40 + 200 / 3) / 2,
            "qa": (50 + scores["mlqa"] + 100) / 3,
            "retrieval": 50,
        }
    )
    assert result.overall.value == pytest.approx(sum(scores.values()) / 9)


def test_unknown_suite(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'xtreme'"):
        run_score("xtrem", tmp_path, tmp_path, as_json=False)


@pytest.mark.parametrize(
    ("name", "language", "num_items"),
    [
        ("xquad", "hin_Deva", 1190),
        ("tydiqa", "swh_Latn", 499),
        ("udpos", "afr_Latn", 425),
        ("xcopa", "que_Latn", 500),
        ("tatoeba", "swh_Latn", 390),
    ],
)
def test_real_data_scored_from_files_as_in_memory(
    real_data: Path, tmp_path: Path, name: str, language: str, num_items: int
) -> None:
    task = find_task(name)
    layout, source = task.locate(real_data, "test", language)
    examples = list(layout.read(source))
    gold = task.kind.references(examples, language)
    assert len(gold) == num_items
    right, wrong = [_right(item) for item in gold], _wrong(task.kind, gold)
    generator = random.Random(0)
    guesses = [generator.choice(pair) for pair in zip(right, wrong, strict=True)]
    write_predictions(tmp_path / "p", task, language, examples, guesses)
    write_labels(tmp_path / "l", task, language, examples)
    scores = score_folder(find_suite("xtreme-r"), tmp_path / "p", tmp_path / "l").tasks[name].languages[language]
    for metric in task.metrics:
        assert scores[metric].value == pytest.approx(find_metric(metric).score(gold, guesses), rel=1e-12)
        assert scores[metric].low < scores[metric].value < scores[metric].high
    primary = find_metric(task.metrics[0])
    assert primary.score(gold, right) == pytest.approx(100.0)
    assert primary.score(gold, wrong) == 0.0
    assert 0 < chance(task.kind, examples, gold, primary, labels=task.labels or ()) < 60
    constant = majority(task.kind, examples, gold, primary)
    assert constant is None or 0 <= constant < 60


def _right(gold: Any) -> Any:
    return gold.answers[0] if isinstance(gold, AnswerReference) else gold


def _wrong(kind: Kind[Any], gold: list[Any]) -> list[Any]:
    match kind.name:
        case "choice":
            return [1 - label for label in gold]
        case "span":
            return [""] * len(gold)
        case "tagging":
            return [("_",) * len(tags) for tags in gold]
        case _:
            return gold[1:] + gold[:1]
