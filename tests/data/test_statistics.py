from __future__ import annotations

import json
from pathlib import Path

import pytest

from xstilts.config.recipe import Data
from xstilts.data.catalogue import Catalogue, Part
from xstilts.data.statistics import Statistics, split_present, statistics
from xstilts.text.tokenizer import Tokenizer

QQP = ("qqp/train.tsv", "qqp/dev.tsv")
HEADER = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


def qqp(*rows: tuple[str, str, int]) -> str:
    return HEADER + "".join(f"{i}\t1\t2\t{a}\t{b}\t{label}\n" for i, (a, b, label) in enumerate(rows))


def squad(**questions: str) -> str:
    paragraphs = [
        {
            "context": context,
            "qas": [{"id": question, "question": question, "answers": [{"text": context[:2], "answer_start": 0}]}],
        }
        for question, context in questions.items()
    ]
    return json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})


@pytest.fixture
def catalogue(tmp_path: Path, tokenizer: Tokenizer) -> Catalogue:
    files = {
        "qqp/train.tsv": qqp(("ab", "c", 1), ("AB ", "c", 0), ("abcdefgh", "c", 0), ("d", "e", 0)) + "9\tbroken\n",
        "qqp/dev.tsv": qqp(("d", "E", 1), ("f", "g", 0)),
        "squad_v1/train-v1.1.json": squad(q="ab c", r="ab c", s="ab d"),
        "xquad/xquad.de.json": squad(t="AB\u00a0c", u="ab x", v="ab y"),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return Catalogue(Data(root=tmp_path, max_length=10, doc_stride=2), tmp_path, tmp_path / "cache", tokenizer)


def test_pairs_by_hand(catalogue: Catalogue) -> None:
    train, dev = Part("qqp", "train", "eng_Latn", False), Part("qqp", "dev", "eng_Latn", True)
    found = statistics(catalogue, [train, dev])
    # tokens: 2 + 1 + 4; the same; 8 + 1 + 4 cut to 10; 1 + 1 + 4
    assert found[0] == Statistics(
        train,
        num_examples=4,
        num_tokens=(7, 10, 10),
        num_truncated=1,
        num_duplicates=1,  # "AB " is "ab" but for case and space
        labels={"0": 3, "1": 1},
        overlap={},
        skipped=found[0].skipped,
    )
    assert list(found[0].skipped.values()) == [1]
    assert (found[1].num_duplicates, found[1].overlap, found[1].num_tokens) == (0, {"qqp": 1}, (6, 6, 6))


def test_overlap_is_by_context_and_duplicates_by_question(catalogue: Catalogue) -> None:
    train, test = Part("squad_v1", "train", "eng_Latn", False), Part("xquad", "test", "deu_Latn", True)
    squad_found, xquad_found = statistics(catalogue, [train, test])
    assert (squad_found.num_duplicates, squad_found.overlap) == (0, {})  # one context twice, two questions
    # of the three contexts "AB c" with a no-break space is trained on as "ab c"
    assert xquad_found.overlap == {"squad_v1": 1}
    assert xquad_found.labels == {"answerable": 3}


def test_absent_files_are_told_apart(catalogue: Catalogue) -> None:
    present, absent = Part("xquad", "test", "deu_Latn", True), Part("xquad", "test", "hin_Deva", True)
    assert split_present(catalogue, [present, absent]) == ([present], [absent])


def test_official_test_sets(real_data: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The README of the data: 440 English questions, and train and test share no context."""
    catalogue = Catalogue(Data(root=real_data), real_data, tmp_path, tokenizer)
    parts = [Part("tydiqa", "train", "eng_Latn", False), Part("tydiqa", "test", "eng_Latn", True)]
    test = statistics(catalogue, parts)[1]
    assert (test.num_examples, test.overlap, test.labels) == (440, {}, {"answerable": 440})
