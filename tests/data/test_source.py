from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.config.recipe import Data
from xstilts.core.errors import UserError
from xstilts.data.source import ExampleSource, find_source
from xstilts.tasks import find_task

QQP = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten rows of QQP, the last of them broken."""
    folder = tmp_path / "data" / "qqp"
    folder.mkdir(parents=True)
    rows = [f"{i}\t1\t2\tQ{i}?\tR{i}?\t{i % 2}\n" for i in range(9)]
    (folder / "train.tsv").write_text(QQP + "".join(rows) + "9\t1\t2\tbroken\n")
    (folder / "dev.tsv").write_text(QQP + rows[0])
    return folder.parent


def find(root: Path, source: str | None = None, split: str = "train") -> ExampleSource:
    sources = {"qqp": {split: source}} if source else {}
    return find_source(Data(root=root, sources=sources), root, find_task("qqp"), split, "eng_Latn")


def questions(source: ExampleSource) -> str:
    return " ".join(example.text_a for example in source.examples())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("slice_", "expected"),
    [
        ("", "Q0? Q1? Q2? Q3? Q4? Q5? Q6? Q7? Q8?"),
        ("[:3]", "Q0? Q1? Q2?"),
        ("[:100]", "Q0? Q1? Q2? Q3? Q4? Q5? Q6? Q7? Q8?"),
        ("[7:]", "Q7? Q8?"),
        ("[2:4]", "Q2? Q3?"),
        # 90 % of 9 examples are 8.1, cut down to 8
        ("[:90%]", "Q0? Q1? Q2? Q3? Q4? Q5? Q6? Q7?"),
        ("[90%:]", "Q8?"),
        ("[50%:7]", "Q4? Q5? Q6?"),
        ("[:]", "Q0? Q1? Q2? Q3? Q4? Q5? Q6? Q7? Q8?"),
    ],
)
def test_slices_count_examples(root: Path, slice_: str, expected: str) -> None:
    source = find(root, f"qqp/train.tsv{slice_}")
    assert questions(source) == expected
    assert questions(source) == expected  # readable again


@pytest.mark.parametrize("percent", [1, 15, 50, 85, 99])
def test_two_slices_part_a_file(root: Path, percent: int) -> None:
    first = questions(find(root, f"qqp/train.tsv[:{percent}%]")).split()
    second = questions(find(root, f"qqp/train.tsv[{percent}%:]")).split()
    assert first + second == questions(find(root)).split()


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        ("qqp/train.tsv", "qqp/dev.tsv", False),
        ("qqp/train.tsv", "qqp/copy.tsv", True),
        ("qqp/train.tsv[:3]", "qqp/copy.tsv[3:]", False),
        ("qqp/train.tsv[:4]", "qqp/copy.tsv[3:]", True),
        ("qqp/train.tsv[:50%]", "qqp/train.tsv[50%:]", False),
        ("qqp/train.tsv[50%:]", "qqp/train.tsv[:60%]", True),
        ("qqp/*.tsv", "qqp/dev.tsv", True),
    ],
)
def test_what_two_sources_may_both_read(root: Path, mine: str, other: str, expected: bool) -> None:
    (root / "qqp" / "copy.tsv").write_bytes((root / "qqp" / "train.tsv").read_bytes())
    assert find(root, mine).overlaps(find(root, other, "dev")) is expected
    assert find(root, other).overlaps(find(root, mine, "dev")) is expected


def test_skips_are_counted_once_per_reading(root: Path) -> None:
    for source in (find(root), find(root, "qqp/train.tsv[10%:]")):
        for _ in range(2):
            list(source.examples())
            assert sum(source.skipped.values()) == 1


def test_fingerprint_follows_the_content(root: Path) -> None:
    before = find(root).fingerprint()
    assert find(root).fingerprint() == before
    assert find(root, "qqp/train.tsv").fingerprint() == before
    prints = {before, find(root, "qqp/train.tsv[:3]").fingerprint(), find(root, split="dev").fingerprint()}
    path = root / "qqp" / "train.tsv"
    path.write_text(path.read_text() + "10\t1\t2\tQ\tR\t0\n")
    assert len({*prints, find(root).fingerprint()}) == 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("qqp/trian.tsv", r"data\.sources\.qqp\.train: no file qqp/trian\.tsv below"),
        ("/qqp/train.tsv", "'/qqp/train.tsv' is no path below data.root; give one"),
        ("[:3]", "'' is no path below data.root; give one"),
        ("qqp/train.tsv[:x]", "no file"),
    ],
)
def test_wrong_sources(root: Path, source: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find(root, source)


def test_code_of_the_language_in_a_path(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "swahili.json").write_text("{}")
    data = Data(root=tmp_path, sources={"tydiqa": {"test": "own/{code}.json"}})
    found = find_source(data, tmp_path, find_task("tydiqa"), "test", "swh_Latn")
    assert found.files == (tmp_path / "own" / "swahili.json",)


def test_the_hub_stands_in_for_what_is_not_below_the_root(root: Path) -> None:
    data = Data(root=root, hub=True)
    assert find_source(data, root, find_task("qqp"), "train", "eng_Latn").hub is None
    assert find_source(data, root, find_task("squad_v1"), "train", "eng_Latn").hub is find_task("squad_v1").hub
    with pytest.raises(UserError, match="no file squad_v1/train"):
        find_source(Data(root=root), root, find_task("squad_v1"), "train", "eng_Latn")
    with pytest.raises(UserError, match="task 'ccg' has no train split on the hub"):
        find_source(Data(hub=True), None, find_task("ccg"), "train", "eng_Latn")
    with pytest.raises(UserError, match="task 'xquad' has no language 'swh_Latn'"):
        find_source(Data(hub=True), None, find_task("xquad"), "test", "swh_Latn")


def test_hub_fingerprint_tells_languages_apart() -> None:
    sources = [find_source(Data(hub=True), None, find_task("xquad"), "test", key) for key in ("deu_Latn", "hin_Deva")]
    assert sources[0].fingerprint() != sources[1].fingerprint()
