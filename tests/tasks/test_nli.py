from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.core.errors import UserError
from xstilts.kinds import PairExample
from xstilts.tasks import find_task

Release = Callable[[str, str | bytes], Path]

GLUE_HEADER = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
    "\tsentence1\tsentence2\tlabel1\tgold_label\n"
)


def glue(premise: str, hypothesis: str, label: str) -> str:
    return f"0\t31193\t31193n\tgovernment\t( )\t( )\t(ROOT )\t(ROOT )\t{premise}\t{hypothesis}\t{label}\t{label}\n"


def gold_label(id_: str, premise: str, hypothesis: str, label: str) -> str:
    row = {"annotator_labels": [label], "gold_label": label, "pairID": id_}
    return json.dumps({**row, "sentence1": premise, "sentence2": hypothesis}) + "\n"


def anli(id_: str, premise: str, hypothesis: str, label: str) -> str:
    return json.dumps({"uid": id_, "context": premise, "hypothesis": hypothesis, "label": label, "reason": ""}) + "\n"


def test_mnli_in_the_glue_form(release: Release, read_split: Callable[..., Any]) -> None:
    release("mnli/train.tsv", GLUE_HEADER + glue('He said "yes', "He agreed.", "entailment"))
    release("mnli/dev_matched.tsv", GLUE_HEADER + glue("A.", "B.", "neutral"))
    release("mnli/dev_mismatched.tsv", (GLUE_HEADER + glue("C.", "D.", "contradiction")).replace("\n", "\r\n"))
    assert read_split("mnli", "train") == ([PairExample("train-2", 'He said "yes', "He agreed.", "entailment")], {})
    assert read_split("mnli", "dev")[0] == [PairExample("dev_matched-2", "A.", "B.", "neutral")]
    assert read_split("mnli", "dev_mismatched")[0] == [PairExample("dev_mismatched-2", "C.", "D.", "contradiction")]


def test_mnli_as_released_counts_pairs_without_majority(release: Release, read_split: Callable[..., Any]) -> None:
    rows = (
        gold_label("1n", "A.", "B.", "neutral") + gold_label("2x", "A.", "C.", "-") + gold_label("3x", "A.", "D.", "-")
    )
    release("mnli/multinli_1.0_dev_matched.jsonl", rows)
    assert read_split("mnli", "dev") == ([PairExample("1n", "A.", "B.", "neutral")], {"no gold label '-'": 2})


def test_anli_plus_reads_every_part_in_order(release: Release, read_split: Callable[..., Any]) -> None:
    for number, label in ((1, "e"), (2, "n"), (3, "c")):
        release(f"anli/R{number}/train.jsonl", anli(f"r{number}", "P.", "H.", label))
    release("mnli/train.tsv", GLUE_HEADER + glue("P.", "H.", "entailment"))
    release(
        "snli/snli_1.0_train.jsonl", gold_label("s1", "P.", "H.", "contradiction") + gold_label("s2", "P.", "I.", "-")
    )
    examples, skipped = read_split("anli_plus", "train")
    assert [(example.id, example.label) for example in examples] == [
        ("r1", "entailment"),
        ("r2", "neutral"),
        ("r3", "contradiction"),
        ("train-2", "entailment"),
        ("s1", "contradiction"),
    ]
    assert skipped == {"no gold label '-'": 1}


def test_anli_plus_takes_mnli_as_released_too(release: Release, read_split: Callable[..., Any]) -> None:
    for number in (1, 2, 3):
        release(f"anli/R{number}/dev.jsonl", anli(f"r{number}", "P.", "H.", "e"))
    release("mnli/multinli_1.0_dev_matched.jsonl", gold_label("m1", "P.", "H.", "neutral"))
    release("snli/snli_1.0_dev.jsonl", gold_label("s1", "P.", "H.", "neutral"))
    assert [example.id for example in read_split("anli_plus", "dev")[0]] == ["r1", "r2", "r3", "m1", "s1"]


def test_missing_part_is_named(release: Release, tmp_path: Path) -> None:
    release("anli/R1/train.jsonl", anli("r1", "P.", "H.", "e"))
    with pytest.raises(UserError, match=r"no file anli/R2/train\.jsonl or anli/R3/train\.jsonl or mnli/train\.tsv"):
        find_task("anli_plus").locate(tmp_path, "train", "eng_Latn")


def test_unknown_labels(release: Release, user_error: Callable[..., str]) -> None:
    path = release("mnli/train.tsv", GLUE_HEADER + glue("A.", "B.", "neutral") + glue("A.", "B.", "entailmnt"))
    assert user_error("mnli", "train") == f"{path}:3: unknown label 'entailmnt'; did you mean 'entailment'?"
    for number in (1, 2, 3):
        path = release(f"anli/R{number}/train.jsonl", anli("r1", "P.", "H.", "e" if number < 3 else "entailment"))
    release("snli/snli_1.0_train.jsonl", gold_label("s1", "P.", "H.", "neutral"))
    assert user_error("anli_plus", "train") == f"{path}:1: unknown label 'entailment'; known: e, n, c"


def test_broken_rows(release: Release, user_error: Callable[..., str]) -> None:
    path = release("mnli/train.tsv", GLUE_HEADER + glue("A.", "B.", "neutral") + "1\t2\t3")
    assert user_error("mnli", "train").startswith(f"{path}:3: 3 columns where the header has 12; ")
    path = release("mnli/dev_matched.tsv", "sentence1\tsentence2\nA.\tB.\n")
    assert user_error("mnli", "dev").startswith(f"{path}:1: no column 'gold_label'; ")
    path = release(
        "mnli/multinli_1.0_dev_mismatched.jsonl", gold_label("m1", "P.", "H.", "neutral") + '{"pairID": "m2"'
    )
    assert user_error("mnli", "dev_mismatched").startswith(f"{path}:2: malformed JSON (")


def test_hub_rows() -> None:
    hub = find_task("mnli").hub
    assert hub is not None
    row = {"premise": "P.", "hypothesis": "H.", "label": 2, "idx": 5}
    assert hub.example(row, 5) == PairExample("5", "P.", "H.", "contradiction")
    assert hub.example({**row, "label": -1}, 5) is None


def test_snli_without_gold_labels(release: Release, read_split: Callable[..., Any]) -> None:
    release("snli/snli_1.0_test.jsonl", gold_label("s1", "P.", "H.", "neutral") + gold_label("s2", "P.", "H.", "-"))
    examples, skipped = read_split("snli", "test")
    assert examples == [PairExample("s1", "P.", "H.", "neutral")]
    assert skipped == {"no gold label '-'": 1}


def test_real_snli(real_data: Path, read_split: Callable[..., Any]) -> None:
    for split, count in (("dev", 9_842), ("test", 9_824)):
        examples, _ = read_split("snli", split, root=real_data)
        assert len(examples) == count == find_task("snli").num_examples[split, "eng_Latn"]
