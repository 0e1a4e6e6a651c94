"""Labels are balanced, and one side of an example tells next to nothing about them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from xstilts.kinds import ChoiceExample, PairExample, SpanExample
from xstilts.tasks import find_task

Labelled = tuple[str, str]


def _read(root: Path, name: str, split: str) -> list:
    layout, source = find_task(name).locate(root, split, "eng_Latn")
    return list(layout.read(source))


def _accuracy_from_words(train: Sequence[Labelled], dev: Sequence[Labelled]) -> float:
    """Of naive Bayes over the words of a text: what anything can learn that reads only this text's words."""
    labels = sorted({label for _, label in train})
    with_word = {label: Counter() for label in labels}
    totals = Counter(label for _, label in train)
    for text, label in train:
        with_word[label].update(set(text.split()))

    def score(text: str, label: str) -> float:
        known = (math.log((with_word[label][word] + 1) / (totals[label] + 2)) for word in set(text.split()))
        return math.log(totals[label]) + sum(known)

    right = sum(max(labels, key=lambda label: score(text, label)) == gold for text, gold in dev)
    return right / len(dev)


@pytest.mark.parametrize(("name", "num_labels"), [("mnli", 3), ("anli_plus", 3), ("qqp", 2), ("pawsx", 2)])
def test_one_sentence_of_a_pair_does_not_tell_the_label(world_root: Path, name: str, num_labels: int) -> None:
    train: list[PairExample] = _read(world_root, name, "train")
    dev: list[PairExample] = _read(world_root, name, "dev")
    counts = Counter(example.label for example in train)
    assert max(counts.values()) - min(counts.values()) <= 5
    assert len(counts) == num_labels
    for side in ("text_a", "text_b"):
        accuracy = _accuracy_from_words(
            [(getattr(example, side), str(example.label)) for example in train],
            [(getattr(example, side), str(example.label)) for example in dev],
        )
        assert accuracy < 1 / num_labels + 0.1, (name, side)


CHOICES = ("hellaswag", "cosmos_qa", "commonsense_qa", "copa", "siqa")


@pytest.mark.parametrize("name", CHOICES)
def test_options_alone_do_not_tell_which_is_right(world_root: Path, name: str) -> None:
    """Each option is scored by how often its words were in right ones; and by the words it shares with the question."""
    train: list[ChoiceExample] = _read(world_root, name, "train")
    dev: list[ChoiceExample] = _read(world_root, name, "dev")
    seen: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for example in train:
        for index, option in enumerate(example.options):
            seen.update(set(option.split()))
            right.update(set(option.split()) if index == example.label else ())

    def frequency(example: ChoiceExample, option: str) -> float:
        return sum(math.log((right[word] + 1) / (seen[word] + len(example.options))) for word in set(option.split()))

    def overlap(example: ChoiceExample, option: str) -> float:
        return len(set(option.split()) & set(f"{example.context} {example.question}".split()))

    chance = 1 / len(dev[0].options)
    for score in (frequency, overlap):
        hits = sum(
            max(range(len(example.options)), key=lambda i, example=example: score(example, example.options[i]))
            == example.label
            for example in dev
        )
        assert hits / len(dev) < chance + 0.09, (name, score.__name__)
    positions = Counter(example.label for example in train)
    assert max(positions.values()) / len(train) < chance + 0.06


def test_a_question_does_not_tell_whether_it_has_an_answer(world_root: Path) -> None:
    def labelled(examples: list[SpanExample]) -> list[Labelled]:
        return [(example.question, str(bool(example.answers))) for example in examples]

    train, dev = (labelled(_read(world_root, "squad_v2", split)) for split in ("train", "dev"))
    assert Counter(label for _, label in train) == {"True": 450, "False": 450}
    assert _accuracy_from_words(train, dev) < 0.6


def test_no_example_is_in_train_and_dev(world_root: Path) -> None:
    for name in ("mnli", "qqp", "pawsx", *CHOICES):
        train, dev = (
            {
                tuple(getattr(example, field) for field in type(example).__slots__ if field != "id")
                for example in _read(world_root, name, split)
            }
            for split in ("train", "dev")
        )
        assert len(train & dev) <= 0.02 * len(dev), name
