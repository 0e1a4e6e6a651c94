from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xstilts.kinds import PairExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]

HEADER = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


def test_questions(release: Release, read_split: Callable[..., Any]) -> None:
    release("qqp/train.tsv", HEADER + '7\t1\t2\tWhat is "STILTs?\tWhat are STILTs?\t1\r\n8\t3\t4\tA?\tB?\t0\r\n')
    examples, skipped = read_split("qqp", "train")
    assert examples == [
        PairExample("7", 'What is "STILTs?', "What are STILTs?", "1"),
        PairExample("8", "A?", "B?", "0"),
    ]
    assert not skipped


def test_torn_rows_are_counted(release: Release, read_split: Callable[..., Any]) -> None:
    release("qqp/dev.tsv", HEADER + "7\t1\t2\tA\nquestion?\tB?\t1\n8\t3\t4\tC?\tD?\t0\n")
    examples, skipped = read_split("qqp", "dev")
    assert [example.id for example in examples] == ["8"]
    assert skipped == {"row without the 6 columns of the header": 2}


def test_unknown_label(release: Release, user_error: Callable[..., str]) -> None:
    path = release("qqp/dev.tsv", HEADER + "7\t1\t2\tA?\tB?\tyes\n")
    assert user_error("qqp", "dev") == f"{path}:2: unknown label 'yes'; known: 0, 1"


def test_file_without_labels(release: Release, user_error: Callable[..., str]) -> None:
    path = release("qqp/dev.tsv", "id\tquestion1\tquestion2\n1\tA?\tB?\n")
    assert user_error("qqp", "dev").startswith(f"{path}:1: no column 'is_duplicate'; ")


def test_hub_row() -> None:
    hub = find_task("qqp").hub
    assert hub is not None
    row = {"question1": "A?", "question2": "B?", "label": 1, "idx": 0}
    assert hub.example(row, 0) == PairExample("0", "A?", "B?", "1")
