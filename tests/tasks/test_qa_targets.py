"""XQuAD, TyDiQA-GoldP, MLQA and AfriQA."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import Answer, SpanExample

Release = Callable[[str, str | bytes], Path]
ReadSplit = Callable[..., tuple[list[Any], Any]]

CONTEXT = "Wolof is spoken in Senegal, the Gambia and Mauritania."


def document(*ids: str, start: int = 19) -> str:
    qas = [{"id": id_, "question": "Where?", "answers": [{"text": "Senegal", "answer_start": start}]} for id_ in ids]
    return json.dumps({"data": [{"title": "Wolof", "paragraphs": [{"context": CONTEXT, "qas": qas}]}]})


def example(id_: str) -> SpanExample:
    return SpanExample(id_, "Where?", CONTEXT, (Answer("Senegal", 19),))


@pytest.mark.parametrize(
    ("task", "split", "language", "file"),
    [
        ("xquad", "test", "zho_Hans", "xquad/xquad.zh.json"),
        ("tydiqa", "train", "eng_Latn", "tydiqa_goldp/english_tydiqa_train.json"),
        ("tydiqa", "dev", "eng_Latn", "tydiqa_goldp/english_tydiqa_dev.json"),
        ("tydiqa", "test", "swh_Latn", "tydiqa_goldp/swahili_tydiqa_dev.json"),
        ("tydiqa", "test", "kor_Hang", "tydiqa_goldp/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-korean.json"),
        ("tydiqa", "test", "qaa_Latn", "tydiqa_goldp/qaa_tydiqa_dev.json"),
        ("mlqa", "test", "deu_Latn", "mlqa/test/test-context-de-question-de.json"),
        ("mlqa", "dev", "hin_Deva", "mlqa/MLQA_V1/dev/dev-context-hi-question-hi.json"),
    ],
)
def test_squad_form(release: Release, read_split: ReadSplit, task: str, split: str, language: str, file: str) -> None:
    release(file, b"\xef\xbb\xbf" + document("a", "b").encode())
    assert read_split(task, split, language) == ([example("a"), example("b")], {})


def test_tydiqa_takes_one_language_from_the_joint_training_file(
    release: Release, read_split: ReadSplit, user_error: Callable[..., str]
) -> None:
    path = release("tydiqa_goldp/tydiqa-goldp-v1.1-train.json", document("english-1-0", "englishman-1-0", "thai-1-0"))
    assert read_split("tydiqa", "train")[0] == [example("english-1-0")]
    assert user_error("tydiqa", "train", "swh_Latn").startswith(f"{path}: no question id begins with 'swahili-'")


@pytest.mark.parametrize("task", ["xquad", "tydiqa", "mlqa"])
def test_wrong_offset_is_an_error(release: Release, user_error: Callable[..., str], task: str) -> None:
    file = {
        "xquad": "xquad/xquad.en.json",
        "tydiqa": "tydiqa_goldp/english_tydiqa_dev.json",
        "mlqa": "mlqa/test/test-context-en-question-en.json",
    }[task]
    path = release(file, document("a", start=18))
    message = user_error(task, "test")
    assert message.startswith(f"{path}:1: answer 'Senegal' of question 'a' is not at offset 18")
    assert message.endswith("set answer_start to 19")


def afriqa(id_: str, texts: list[str], starts: list[int]) -> str:
    row = {
        "id": id_,
        "question_lang": "Fan la?",
        "question_translated": "Where?",
        "title": "Wolof",
        "context": CONTEXT,
        "answer_pivot": {"text": texts, "answer_start": starts},
        "answer_lang": "Senegaal",
    }
    return json.dumps(row, ensure_ascii=False) + "\n"


def test_afriqa_questions_without_a_passage(
    release: Release, read_split: ReadSplit, user_error: Callable[..., str]
) -> None:
    name = "afriqa/gold_span_passages.afriqa.bem.en.test.json"
    pivot = {"answer_start": [], "text": ["1,300"]}
    empty = json.dumps({"answer_pivot": pivot, "context": None, "id": "312", "question_lang": "q"})
    release(name, afriqa("0", ["Senegal"], [19]) + empty + "\n")
    examples, skipped = read_split("afriqa", "test", "bem_Latn")
    assert [example.id for example in examples] == ["test-0"]
    assert skipped == {"question without a passage": 1}
    path = release(name, empty.replace("null", "7") + "\n")
    assert user_error("afriqa", "test", "bem_Latn").startswith(f"{path}:1: field 'context' is not a text; ")


def test_afriqa_repairs_offsets_that_leave_no_doubt(release: Release, read_split: ReadSplit) -> None:
    release(
        "afriqa/gold_span_passages.afriqa.swa.en.test.json",
        afriqa("0", ["Senegal"], [19])
        + afriqa("1", ["Senegal"], [3])  # once: corrected
        + afriqa("2", ["an"], [3])  # twice (and, Mauritania): left out
        + afriqa("3", ["yes"], [-1])  # not there
        + afriqa("4", ["no", "Gambia"], [-1, 32]),  # one of two
    )
    examples, skipped = read_split("afriqa", "test", "swh_Latn")
    assert [(e.id, e.question, e.answers) for e in examples] == [
        ("test-0", "Fan la?", (Answer("Senegal", 19),)),
        ("test-1", "Fan la?", (Answer("Senegal", 19),)),
        ("test-4", "Fan la?", (Answer("Gambia", 32),)),
    ]
    assert skipped == {
        "wrong answer offset, corrected (question kept)": 1,
        "answer that is not, or not once, in its passage": 3,
        "question without an answer in its passage": 2,
    }


def test_afriqa_right_offset_of_a_repeated_text_is_kept(release: Release, read_split: ReadSplit) -> None:
    release("afriqa/gold_passages/fon/gold_span_passages.afriqa.fon.fr.dev.json", afriqa("0", ["an"], [39]))
    assert read_split("afriqa", "dev", "fon_Latn")[0][0].answers == (Answer("an", 39),)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (afriqa("0", ["a", "b"], [0]), "'answer_pivot' does not hold as many 'text' as 'answer_start'"),
        ('{"id": "0", "question_lang": "x"', "malformed JSON"),
        ('{"id": "0", "question_lang": "x", "context": "y"}', "no field 'answer_pivot'"),
    ],
)
def test_broken_afriqa(release: Release, user_error: Callable[..., str], content: str, problem: str) -> None:
    path = release("afriqa/gold_span_passages.afriqa.yor.en.test.json", content)
    assert user_error("afriqa", "test", "yor_Latn").startswith(f"{path}:1: {problem}")


@pytest.mark.parametrize(
    ("task", "split", "language", "count"),
    [
        *[("xquad", "test", key, 1190) for key in ("eng_Latn", "spa_Latn", "hin_Deva", "arb_Arab", "deu_Latn")],
        ("tydiqa", "train", "eng_Latn", 3696),
        ("tydiqa", "dev", "eng_Latn", 440),
        ("tydiqa", "test", "eng_Latn", 440),
        ("tydiqa", "test", "swh_Latn", 499),
        ("tydiqa", "test", "arb_Arab", 921),
        ("tydiqa", "test", "fin_Latn", 782),
    ],
)
def test_real_counts(real_data: Path, read_split: ReadSplit, task: str, split: str, language: str, count: int) -> None:
    examples, skipped = read_split(task, split, language, real_data)
    assert (len(examples), dict(skipped)) == (count, {})
