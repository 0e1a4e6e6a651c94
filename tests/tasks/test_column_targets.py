"""PAN-X, MasakhaNER and MasakhaPOS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.kinds import TaggingExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]
ReadSplit = Callable[..., tuple[list[Any], Any]]


def test_panx_removes_the_prefix_up_to_the_first_colon(release: Release, read_split: ReadSplit) -> None:
    release("panx/sw/test", "sw:Dar\tB-LOC\nsw:es\tI-LOC\n\nsw:saa\tO\nsw:10:30\tO\nsw:a\u00a0b\tO\n\n")
    assert read_split("panx", "test", "swh_Latn")[0] == [
        TaggingExample("test-0", ("Dar", "es"), ("B-LOC", "I-LOC")),
        TaggingExample("test-1", ("saa", "10:30", "a\u00a0b"), ("O", "O", "O")),
    ]


def test_masakhaner_dates_are_outside_any_entity(release: Release, read_split: ReadSplit) -> None:
    release(
        "masakhaner2/swa/test.txt",
        "-DOCSTART- O\n\nMarekani B-LOC\r\nwiki B-DATE\r\nhii I-DATE\r\n\r\n\r\nFox B-ORG\r\nNews\tI-ORG",
    )
    assert read_split("masakhaner2", "test", "swh_Latn")[0] == [
        TaggingExample("test-0", ("Marekani", "wiki", "hii"), ("B-LOC", "O", "O")),
        TaggingExample("test-1", ("Fox", "News"), ("B-ORG", "I-ORG")),
    ]


def test_masakhapos(release: Release, read_split: ReadSplit) -> None:
    release("masakhapos/wol/dev.txt", "Ñu PRON\nngi AUX \n\n")
    assert read_split("masakhapos", "dev", "wol_Latn")[0] == [TaggingExample("dev-0", ("Ñu", "ngi"), ("PRON", "AUX"))]


@pytest.mark.parametrize(
    ("task", "file", "content", "line", "problem"),
    [
        ("panx", "panx/yo/test", "yo:a\tO\nyo:b\n", 2, "1 columns where a word and its tag were expected"),
        ("panx", "panx/yo/test", "yo:a b\tO\tO\n", 1, "3 columns where a word and its tag were expected"),
        ("panx", "panx/yo/test", "yo:a\tO\nb\tO\n", 2, "word 'b' has no language prefix 'xx:'"),
        ("panx", "panx/yo/test", "yo:a\tB-DATE\n", 1, "unknown tag 'B-DATE'"),
        ("masakhaner1", "masakhaner1/yor/test.txt", "a O\n\nb c O\n", 3, "3 columns where a word and its tag"),
        ("masakhaner1", "masakhaner1/yor/test.txt", "a B-MISC\n", 1, "unknown tag 'B-MISC'"),
        ("masakhapos", "masakhapos/yor/test.txt", "a NOUN\nNOUN\n", 2, "1 columns where a word and its tag"),
        ("masakhapos", "masakhapos/yor/test.txt", "a NUON\n", 1, "unknown tag 'NUON'; did you mean 'NOUN'?"),
    ],
)
def test_ragged_columns(
    release: Release, user_error: Callable[..., str], task: str, file: str, content: str, line: int, problem: str
) -> None:
    path = release(file, content)
    assert user_error(task, "test", "yor_Latn").startswith(f"{path}:{line}: {problem}")


def test_empty_file(release: Release, user_error: Callable[..., str]) -> None:
    path = release("panx/yo/test", "\n\n")
    assert user_error("panx", "test", "yor_Latn").startswith(f"{path}: no sentences; ")


def test_hub_row() -> None:
    hub = find_task("panx").hub
    assert hub is not None
    assert hub.example({"tokens": ["Dar", "es", "a"], "ner_tags": [5, 6, 0]}, 4) == TaggingExample(
        "4", ("Dar", "es", "a"), ("B-LOC", "I-LOC", "O")
    )


def test_tag_without_a_word_is_left_out_and_counted(release: Release, read_split: ReadSplit) -> None:
    """MasakhaNER 2.0, xho train, line 44520."""
    release("masakhaner2/xho/train.txt", "UMandela B-PER\n O\nwathetha O\n\n")
    examples, skipped = read_split("masakhaner2", "train", "xho_Latn")
    assert examples == [TaggingExample("train-0", ("UMandela", "wathetha"), ("B-PER", "O"))]
    assert skipped == {"tag without a word": 1}
