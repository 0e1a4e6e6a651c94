from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.core.errors import UserError
from xstilts.kinds import TaggingExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]

HEADER = "ID=wsj_{}.1 PARSER=GOLD NUMPARSE=1\n"
DERIVATION = (
    "(<T S[dcl] 0 2> (<T S[dcl] 1 2> (<T NP 0 1> (<L N PRP PRP She N>) ) "
    "(<L (S[dcl]\\NP)/NP VBZ VBZ has (S[dcl]\\NP_10)/NP_11>) ) (<L . . . . .>) ) \n"
)
WORDS = ("She", "has", ".")
TAGS = ("N", "(S[dcl]\\NP)/NP", ".")


def write_treebank(release: Release) -> None:
    for section in range(25):
        name = f"{section:02}01"
        release(f"ccg/AUTO/{section:02}/wsj_{name}.auto", HEADER.format(name) + DERIVATION)


def test_leaves_of_a_derivation(release: Release, read_split: Callable[..., Any]) -> None:
    write_treebank(release)
    examples, _ = read_split("ccg", "test")
    assert examples == [TaggingExample(f"wsj_{section}01.1", WORDS, TAGS) for section in (22, 23, 24)]


@pytest.mark.parametrize(
    ("task", "split", "first", "last"),
    [
        ("ccg", "train", 0, 18),
        ("ccg", "dev", 19, 21),
        ("ccg", "test", 22, 24),
        ("ccg_usual_sections", "train", 2, 21),
        ("ccg_usual_sections", "dev", 0, 0),
        ("ccg_usual_sections", "test", 23, 23),
    ],
)
def test_sections(
    release: Release, read_split: Callable[..., Any], task: str, split: str, first: int, last: int
) -> None:
    write_treebank(release)
    examples, _ = read_split(task, split)
    assert [example.id for example in examples] == [f"wsj_{section:02}01.1" for section in range(first, last + 1)]


def test_missing_section_is_named(release: Release, tmp_path: Path) -> None:
    write_treebank(release)
    (tmp_path / "ccg/AUTO/20/wsj_2001.auto").unlink()
    with pytest.raises(UserError, match=r"no file ccg/AUTO/20/wsj_\*\.auto or ccg/dev\.txt below"):
        find_task("ccg").locate(tmp_path, "dev", "eng_Latn")


@pytest.mark.parametrize(
    ("derivation", "problem"),
    [
        (DERIVATION[:-4] + "\n", "the derivation ends with 1 open nodes"),
        (DERIVATION[:20], "not a derivation at column 17"),
        (DERIVATION.rstrip() + " )\n", f"not a derivation at column {len(DERIVATION)}"),
        (DERIVATION.replace("PRP PRP She", "PRP She"), "not a derivation at column 45"),
        ("\n", "no derivation after the line 'ID=...'"),
        ("", "no derivation after the line 'ID=...'"),
    ],
)
def test_broken_derivation(release: Release, user_error: Callable[..., str], derivation: str, problem: str) -> None:
    write_treebank(release)
    path = release("ccg/AUTO/00/wsj_0001.auto", HEADER.format("0001") + derivation)
    line = 2 if derivation else 1
    assert user_error("ccg_usual_sections", "dev").startswith(f"{path}:{line}: {problem}; ")


def test_derivation_without_its_header(release: Release, user_error: Callable[..., str]) -> None:
    path = release("ccg/AUTO/00/wsj_0001.auto", HEADER.format("0001") + DERIVATION + DERIVATION)
    assert user_error("ccg_usual_sections", "dev").startswith(f"{path}:3: a line 'ID=...' was expected; ")


def test_empty_section_file(release: Release, user_error: Callable[..., str]) -> None:
    path = release("ccg/AUTO/00/wsj_0001.auto", "")
    assert user_error("ccg_usual_sections", "dev").startswith(f"{path}: the file has no rows; ")


def test_words_and_tags(release: Release, read_split: Callable[..., Any]) -> None:
    release("ccg/train.txt", 'She has .\tN (S[dcl]\\NP)/NP .\r\n"\t``\n')
    assert read_split("ccg", "train")[0] == [
        TaggingExample("train-1", WORDS, TAGS),
        TaggingExample("train-2", ('"',), ("``",)),
    ]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("She has .\tN .", "3 words and 2 tags; give every word one tag, separated by spaces"),
        ("\t", "0 words and 0 tags; "),
        ("She has .", "1 columns where 2 were expected; "),
        ("She\tN\tN", "3 columns where 2 were expected; "),
    ],
)
def test_ragged_row(release: Release, user_error: Callable[..., str], row: str, problem: str) -> None:
    path = release("ccg/dev.txt", f"She\tN\n{row}\n")
    assert user_error("ccg", "dev").startswith(f"{path}:2: {problem}")
