"""Effects that can be planted in a world: wrong labels, sentences beside the point, a dataset of another world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from xstilts.synthetic import World, write_world
from xstilts.synthetic.settings import CROWDED, NOISY
from xstilts.tasks import find_task

SIZES: dict[str, Any] = {
    "languages": {"qaa_Latn": 0.5},
    "num_train": 300,
    "num_dev": 30,
    "num_test": 20,
    "num_text": 100,
    "num_bitext": 20,
}


def read(root: Path, name: str, split: str = "train") -> list[Any]:
    layout, source = find_task(name).locate(root, split, "eng_Latn")
    return list(layout.read(source))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plain")
    write_world(World(**SIZES), root)
    return root


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("noisy")
    write_world(World(**SIZES, noise=dict.fromkeys(NOISY, 0.4)), root)
    return root


def wrong_share(clean: list[Any], noisy: list[Any]) -> float:
    """Share of the labels, tags or answers that differ, after checking that nothing else does."""
    wrong = total = 0
    for one, other in zip(clean, noisy, strict=True):
        match one:
            case _ if hasattr(one, "options"):
                assert (one.context, one.question, one.options) == (other.context, other.question, other.options)
                pairs = [(one.label, other.label)]
            case _ if hasattr(one, "words"):
                assert one.words == other.words
                pairs = list(zip(one.tags, other.tags, strict=True))
            case _ if hasattr(one, "answers"):
                assert (one.question, one.context) == (other.question, other.context)
                pairs = [(one.answers, other.answers)] if one.answers else []
            case _:
                assert (one.text_a, one.text_b) == (other.text_a, other.text_b)
                pairs = [(one.label, other.label)]
        wrong += sum(a != b for a, b in pairs)
        total += len(pairs)
    return wrong / total


@pytest.mark.parametrize("name", ["mnli", "snli", "qqp", "hellaswag", "cosmos_qa", "commonsense_qa", "squad_v1"])
def test_share_of_wrong_labels(plain: Path, noisy: Path, name: str) -> None:
    # 300 draws at 0.4 have a standard deviation of 0.028.
    assert wrong_share(read(plain, name), read(noisy, name)) == pytest.approx(0.4, abs=0.1)


def test_share_of_wrong_labels_where_others_may_be_equal(plain: Path, noisy: Path) -> None:
    """A sentence may hold one supertag alone, and two participants of a passage may be called alike."""
    assert 0.2 < wrong_share(read(plain, "ccg"), read(noisy, "ccg")) < 0.5
    assert 0.2 < wrong_share(read(plain, "squad_v2"), read(noisy, "squad_v2")) < 0.5


def test_noise_of_whole_sentences(plain: Path, tmp_path: Path) -> None:
    write_world(World(**SIZES, noise={"ccg": 0.4}, noisy_sentences=True), tmp_path)
    shares = [
        sum(a != b for a, b in zip(one.tags, other.tags, strict=True)) / len(one.tags)
        for one, other in zip(read(plain, "ccg"), read(tmp_path, "ccg"), strict=True)
        if len(set(one.tags)) > 1
    ]
    assert set(shares) == {0.0, 1.0}
    assert sum(shares) / len(shares) == pytest.approx(0.4, abs=0.1)


def test_everything_else_stays_as_it_is(plain: Path, noisy: Path) -> None:
    files = {path.relative_to(plain) for path in plain.rglob("*") if path.is_file()}
    changed = {str(path) for path in files if (plain / path).read_bytes() != (noisy / path).read_bytes()}
    folders = {path.partition("/")[0] for path in changed}
    assert folders == {*NOISY, "anli"} - {"anli_plus"}
    assert not any("test" in path for path in changed), "test sets stay clean"


@pytest.mark.parametrize("name", CROWDED)
def test_sentences_beside_the_point(plain: Path, tmp_path: Path, name: str) -> None:
    write_world(World(**SIZES, distractors={name: 3}), tmp_path)

    def sentences(root: Path) -> float:
        texts = [getattr(e, "context", None) or e.text_a for e in read(root, name)]
        return sum(text.count(".") for text in texts) / len(texts)

    # An inference drops sentences about the hypothesis's own agent.
    assert sentences(tmp_path) - sentences(plain) == pytest.approx(3, abs=0.35)


def test_unrelated_task_shares_no_word(tmp_path: Path) -> None:
    write_world(World(**SIZES, unrelated=True), tmp_path)
    examples = read(tmp_path, "qqp")
    words = {word for e in examples for word in f"{e.text_a} {e.text_b}".split()}
    text = " ".join(path.read_text() for path in (tmp_path / "text").glob("*.txt"))
    assert not words & set(text.split())
    assert sum(e.label == "1" for e in examples) == 150
    for e in examples:
        assert (e.text_a.split()[0] == e.text_b.split()[0]) == (e.label == "1")


def test_unknown_datasets() -> None:
    with pytest.raises(ValidationError, match="'mnly' cannot be given noise; did you mean 'mnli'"):
        World(noise={"mnly": 0.1})
    with pytest.raises(ValidationError, match="'qqp' cannot be given distractors"):
        World(distractors={"qqp": 1})
