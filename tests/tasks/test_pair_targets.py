"""XNLI, AfriXNLI and PAWS-X."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import PairExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]
ReadSplit = Callable[..., tuple[list[Any], Any]]

XNLI_HEADER = (
    "language gold_label sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse sentence1 "
    "sentence2 promptID pairID genre label1 label2 label3 label4 label5 sentence1_tokenized sentence2_tokenized match"
).split()


def xnli(language: str, label: str, one: str, two: str, pair: str) -> str:
    values = {"language": language, "gold_label": label, "sentence1": one, "sentence2": two, "pairID": pair}
    return "\t".join(values.get(name, "") for name in XNLI_HEADER) + "\n"


HEADER = "\t".join(XNLI_HEADER) + "\n"


@pytest.mark.parametrize("folder", ["xnli", "xnli/XNLI-1.0"])
def test_xnli_takes_one_language_and_no_quoting(release: Release, read_split: ReadSplit, folder: str) -> None:
    release(
        f"{folder}/xnli.test.tsv",
        HEADER
        + xnli("ar", "neutral", "x", "y", "1")
        + xnli("sw", "entailment", 'Alisema "ndiyo', "Alikubali", "1")  # a stray quote
        + xnli("sw", "contradiction", "a", 'b"', "2"),
    )
    assert read_split("xnli", "test", "swh_Latn")[0] == [
        PairExample("1", 'Alisema "ndiyo', "Alikubali", "entailment"),
        PairExample("2", "a", 'b"', "contradiction"),
    ]


@pytest.mark.parametrize(
    ("content", "place", "problem"),
    [
        (HEADER + xnli("sw", "contradictory", "a", "b", "1"), ":2", "unknown label 'contradictory'; did you mean"),
        (HEADER + xnli("sw", "neutral", "a\tc", "b", "1"), ":2", "20 columns where the header has 19"),
        (HEADER.replace("pairID", "id"), ":1", "no column 'pairID'"),
        (HEADER + xnli("ar", "neutral", "a", "b", "1"), "", "no row has the language 'sw'"),
    ],
)
def test_broken_xnli(release: Release, user_error: Callable[..., str], content: str, place: str, problem: str) -> None:
    path = release("xnli/xnli.dev.tsv", content)
    assert user_error("xnli", "dev", "swh_Latn").startswith(f"{path}{place}: {problem}")


def test_xnli_in_another_encoding(release: Release, user_error: Callable[..., str]) -> None:
    path = release("xnli/xnli.dev.tsv", (HEADER + xnli("fr", "neutral", "été", "b", "1")).encode("latin-1"))
    assert user_error("xnli", "dev", "fra_Latn").startswith(f"{path}:2: not UTF-8")


def test_afrixnli_labels_are_words_or_indices(
    release: Release, read_split: ReadSplit, user_error: Callable[..., str]
) -> None:
    header = "premise\thypothesis\tlabel\n"
    release("afrixnli/orm/test.tsv", f"{header}a\tb\t0\r\nc\td\tneutral\r\ne\tf\t2\r\n")
    assert read_split("afrixnli", "test", "gaz_Latn")[0] == [
        PairExample("test-2", "a", "b", "entailment"),
        PairExample("test-3", "c", "d", "neutral"),
        PairExample("test-4", "e", "f", "contradiction"),
    ]
    path = release("afrixnli/swa/dev.tsv", f"{header}a\tb\t3\n")
    assert user_error("afrixnli", "dev", "swh_Latn").startswith(f"{path}:2: unknown label '3'")


def test_pawsx(release: Release, read_split: ReadSplit, user_error: Callable[..., str]) -> None:
    header = "id\tsentence1\tsentence2\tlabel\n"
    release("pawsx/ko/test_2k.tsv", f'{header}1\t" 가 나\t나 가\t0\n2\ta b\tb a\t1\n')
    release("pawsx/en/train.tsv", f"{header}1\ta\tb\t1\n")
    assert read_split("pawsx", "test", "kor_Hang")[0] == [
        PairExample("1", '" 가 나', "나 가", "0"),
        PairExample("2", "a b", "b a", "1"),
    ]
    assert len(read_split("pawsx", "train")[0]) == 1
    path = release("x-final/fr/dev_2k.tsv", f"{header}1\ta\tb\t2\n")
    assert user_error("pawsx", "dev", "fra_Latn").startswith(f"{path}:2: label '2' is neither 0 nor 1")
    path.write_text(f"{header}1\ta\tb\n")
    assert user_error("pawsx", "dev", "fra_Latn").startswith(f"{path}:2: 3 columns where the header has 4")


def test_hub_rows() -> None:
    row = {"premise": "a", "hypothesis": "b", "label": 1}
    for name in ("xnli", "afrixnli"):
        hub = find_task(name).hub
        assert hub is not None
        assert hub.example(row, 5) == PairExample("5", "a", "b", "neutral")
    hub = find_task("pawsx").hub
    assert hub is not None
    assert hub.example({"id": 3, "sentence1": "a", "sentence2": "b", "label": 1}, 0) == PairExample("3", "a", "b", "1")
